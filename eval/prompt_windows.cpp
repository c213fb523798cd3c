#include "eval/prompt_windows.h"

#include "models/regex.h"

namespace crossloom::eval {
namespace {

using models::Regex;

/// A match is the first character of a sentence or line; \K drops what leads up to it.
constexpr const char* kStart =
    R"((?:^\h*)"
    R"(|(?<!\b\p{Lu})(?<!\b\p{Lu}\p{L})(?<!\b\p{Lu}\p{L}{2})[.!?]["')\]”’]*\s+))"
    R"(\K["'(“‘]?[\p{Lu}\p{Lt}\p{Lo}])";

constexpr const char* kParagraphEnd = R"(\n\h*\r?\n)";

}  // namespace

std::vector<std::string_view> prompt_windows(std::string_view text) {
  const auto ends = Regex(kParagraphEnd, Regex::Syntax::kPcre2, "paragraph ends").find_all(text);
  auto end = ends.begin();
  std::vector<std::string_view> windows;
  for (const auto& start : Regex(kStart, Regex::Syntax::kPcre2, "prompt starts").find_all(text)) {
    while (end != ends.end() && end->begin < start.begin) {
      ++end;
    }
    const size_t stop = end == ends.end() ? text.size() : end->begin;
    windows.push_back(text.substr(start.begin, stop - start.begin));
  }
  return windows;
}

}  // namespace crossloom::eval
