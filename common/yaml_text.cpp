#include "common/yaml_text.h"

#include <yaml-cpp/eventhandler.h>

#include <fstream>
#include <sstream>

#include "common/error.h"
#include "common/utf8.h"

namespace crossloom {
namespace {

/// Hears a document and forgets it.
class DeafHandler : public YAML::EventHandler {
 public:
  using Mark = YAML::Mark;
  using Anchor = YAML::anchor_t;
  using Style = YAML::EmitterStyle::value;
  void OnDocumentStart(const Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const Mark&, Anchor) override {}
  void OnAlias(const Mark&, Anchor) override {}
  void OnScalar(const Mark&, const std::string&, Anchor, const std::string&) override {}
  void OnSequenceStart(const Mark&, const std::string&, Anchor, Style) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const Mark&, const std::string&, Anchor, Style) override {}
  void OnMapEnd() override {}
};

/// YAML::Load ignores what follows the first document, and YAML::LoadAll (0.7) reads for ever when
/// that is a stray ',': so the parser is asked once, and once more.
bool something_follows_the_first_document(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DeafHandler handler;
  return parser.HandleNextDocument(handler) && parser.HandleNextDocument(handler);
}

}  // namespace

YAML::Node parse_yaml(const std::string& text, const std::string& source) {
  if (text.size() > kYamlLimit_bytes) {
    throw ConfigError({.what = "The configuration is too large",
                       .expected = fmt::format("at most {}", human_bytes(kYamlLimit_bytes)),
                       .got = human_bytes(static_cast<double>(text.size())),
                       .where = source,
                       .hint = "Is this really a configuration file?"});
  }
  if (!is_valid_utf8(text)) {  // it would not survive options_to_yaml
    throw ConfigError({.what = "The configuration is not UTF-8 text",
                       .expected = "UTF-8",
                       .got = "other bytes",
                       .where = source,
                       .hint = "Save the file as UTF-8."});
  }
  try {
    if (something_follows_the_first_document(text)) {
      throw ConfigError({.what = "Something follows the configuration",
                         .expected = "one YAML document",
                         .got = "more than one, or text after its end",
                         .where = source,
                         .hint = "Remove the rest: it would be ignored."});
    }
    return YAML::Load(text);
  } catch (const YAML::Exception& error) {
    throw ConfigError({.what = "The configuration is not valid YAML",
                       .expected = "key: value lines",
                       .got = error.msg,
                       .where = fmt::format("{}:{}", source, error.mark.line + 1),
                       .hint = "Check indentation and brackets near that line."});
  }
}

std::string read_yaml_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kYamlLimit_bytes + 1, '\0');  // one more, so that parse_yaml sees the excess
  file.read(text.data(), std::streamsize(text.size()));
  text.resize(size_t(file.gcount()));
  if (text.empty()) {
    throw ConfigError({.what = "The configuration file cannot be read",
                       .expected = "a readable YAML file that is not empty",
                       .got = file.is_open() ? "nothing" : "no such file, or no permission",
                       .where = path,
                       .hint = "Check the path."});
  }
  return text;
}

std::string yaml_where(const std::string& source, const YAML::Node& node, const std::string& path) {
  const YAML::Mark mark = node.IsDefined() ? node.Mark() : YAML::Mark::null_mark();
  return mark.is_null() ? fmt::format("{}, key {}", source, path)
                        : fmt::format("{}:{}, key {}", source, mark.line + 1, path);
}

std::string yaml_kind(const YAML::Node& node) {
  switch (node.IsDefined() ? node.Type() : YAML::NodeType::Undefined) {
    case YAML::NodeType::Scalar:
      return node.Scalar();
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a map";
    default:
      return "nothing";
  }
}

YAML::Node nested_node(const std::string& dotted_key, const YAML::Node& node) {
  YAML::Node whole = node;
  std::string path = dotted_key;
  while (!path.empty()) {
    const size_t dot = path.rfind('.');
    YAML::Node outer(YAML::NodeType::Map);
    outer[dot == std::string::npos ? path : path.substr(dot + 1)] = whole;
    whole.reset(outer);
    path = dot == std::string::npos ? std::string{} : path.substr(0, dot);
  }
  return whole;
}

}  // namespace crossloom
