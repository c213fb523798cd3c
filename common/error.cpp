// See error.h. The message is assembled once, in the constructor, so that what() and screen()
// can never disagree.
#include "common/error.h"

#include <algorithm>
#include <utility>

namespace crossloom {
namespace {

constexpr size_t kPartLimit_chars = 600;  // a screen is a screen: long file contents are cut

/// Cut to kPartLimit_chars, between UTF-8 characters, and with control characters made visible:
/// names from a stranger's file must not move the terminal's cursor or end the line early.
std::string clip(const std::string& text) {
  size_t end = std::min(text.size(), kPartLimit_chars);
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
    --end;
  }
  std::string shown;
  for (const char c : text.substr(0, end)) {
    const auto code = static_cast<unsigned char>(c);
    const bool control = (code < 0x20 && c != '\n') || code == 0x7F;
    shown += control ? fmt::format("\\x{:02X}", code) : std::string(1, c);
  }
  return end == text.size() ? shown : shown + fmt::format(" … ({} bytes in all)", text.size());
}

std::string one_line(const ErrorReport& report) {
  std::string line = clip(report.what);
  const auto add = [&line](const char* label, const std::string& part) {
    if (!part.empty()) {
      line += fmt::format("; {} {}", label, clip(part));
    }
  };
  add("expected", report.expected);
  add("got", report.got);
  add("at", report.where);
  add("→", report.hint);
  return line;
}

}  // namespace

Error::Error(const char* kind, ErrorReport report)
    : std::runtime_error(one_line(report)), kind_(kind), report_(std::move(report)) {}

std::string Error::screen() const {
  std::string text = fmt::format("{}: {}\n", kind_, clip(report_.what));
  const auto add = [&text](const char* label, const std::string& part) {
    if (!part.empty()) {
      text += fmt::format("  {:<9} {}\n", label, clip(part));
    }
  };
  add("expected", report_.expected);
  add("got", report_.got);
  add("where", report_.where);
  add("to do", report_.hint);
  return text;
}

void fail_check(const char* condition, const char* file, int line, const std::string& detail) {
  throw InternalError({.what = detail,
                       .expected = condition,
                       .got = {},
                       .where = fmt::format("{}:{}", file, line),
                       .hint = "This is a bug in Crossloom: please report it with this message."});
}

}  // namespace crossloom
