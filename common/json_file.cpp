#include "common/json_file.h"

#include "common/error.h"
#include "common/mapped_file.h"
#include "common/output_file.h"

namespace crossloom {
namespace {

constexpr int kJsonDepthLimit = 200;

/// nlohmann's parser keeps its own stack, but its destructor and dump recurse: refuse early.
bool too_deep(const std::string& text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      i += c == '\\' ? 1 : 0;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kJsonDepthLimit) {
        return true;
      }
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

}  // namespace

Json parse_json(const std::string& text, const std::string& source) {
  if (too_deep(text)) {
    throw DataError({.what = "JSON is nested too deeply",
                     .expected = fmt::format("at most {} levels", kJsonDepthLimit),
                     .got = "more",
                     .where = source,
                     .hint = "Is this the right file?"});
  }
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    throw DataError({.what = "A file is not valid JSON",
                     .expected = "JSON",
                     .got = error.what(),
                     .where = source,
                     .hint = "The file may be damaged or cut off: fetch it again."});
  }
}

Json read_json_file(const std::string& path, size_t limit_bytes) {
  return parse_json(read_text_file(path, limit_bytes), path);
}

void write_json_file(const std::string& path, const Json& value, int indent) {
  write_file(path, value.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n");
}

const Json& json_part(const Json& object, const char* key) {
  static const Json null;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found == object.end() ? null : *found;
}

void fail_json_field(const char* key, const std::string& expected, const std::string& got,
                     const std::string& source) {
  throw DataError({.what = fmt::format("Key '{}' is missing or of the wrong type", key),
                   .expected = expected,
                   .got = got,
                   .where = source,
                   .hint = "Is this file of the kind and version it should be?"});
}

}  // namespace crossloom
