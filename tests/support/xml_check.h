// Whether a text is well-formed XML, as far as our own files use it: one root, tags that match,
// attributes in double quotes and once each, no bare '<' or '&'. No document types, comments,
// CDATA.
#pragma once

#include <cctype>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace crossloom::test {

class XmlScanner {
 public:
  explicit XmlScanner(std::string_view xml) : rest_(xml) {}

  /// Empty when well-formed, else what is wrong.
  std::string problem() {
    if (rest_.substr(0, 5) == "<?xml") {
      skip(rest_.find("?>") + 2);
    }
    while (!rest_.empty() && problem_.empty()) {
      rest_.front() == '<' ? tag() : text(rest_.substr(0, rest_.find('<')));
    }
    if (problem_.empty() && !open_.empty()) {
      fail("never closed", open_.back());
    }
    if (problem_.empty() && roots_ != 1) {
      fail("not one root", std::to_string(roots_));
    }
    return problem_;
  }

 private:
  void fail(const std::string& what, std::string_view where) {
    problem_ = what + ": " + std::string(where.substr(0, 80));
  }
  void skip(size_t count) { rest_.remove_prefix(std::min(count, rest_.size())); }
  void skip_spaces() {
    while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_.front())) != 0) {
      skip(1);
    }
  }
  std::string name() {
    size_t end = 0;
    while (end < rest_.size() && (std::isalnum(static_cast<unsigned char>(rest_[end])) != 0 ||
                                  std::string_view("_:.-").find(rest_[end]) != std::string::npos)) {
      ++end;
    }
    const std::string found(rest_.substr(0, end));
    skip(end);
    return found;
  }

  void references(std::string_view text) {
    for (size_t i = text.find('&'); i != std::string::npos; i = text.find('&', i + 1)) {
      const auto entity = text.substr(i + 1, text.find(';', i) - i - 1);
      if (entity != "amp" && entity != "lt" && entity != "gt" && entity != "quot") {
        fail("a bare '&'", text.substr(i));
      }
    }
  }
  void text(std::string_view content) {
    references(content);
    if (open_.empty() && content.find_first_not_of(" \t\r\n") != std::string::npos) {
      fail("text outside the root", content);
    }
    skip(content.size());
  }

  void tag() {
    const auto all = rest_;
    skip(1);
    if (!rest_.empty() && rest_.front() == '/') {
      skip(1);
      const auto closed = name();
      if (open_.empty() || open_.back() != closed || rest_.substr(0, 1) != ">") {
        return fail("closes what is not open", all);
      }
      open_.pop_back();
      return skip(1);
    }
    const auto opened = name();
    if (opened.empty() || !attributes()) {
      return fail("not a tag", all);
    }
    roots_ += open_.empty() ? 1 : 0;
    const bool closes_itself = rest_.front() == '/';
    skip(closes_itself ? 2 : 1);
    if (!closes_itself) {
      open_.push_back(opened);
    }
  }

  /// Up to ">" or "/>".
  bool attributes() {
    std::set<std::string> seen;
    for (skip_spaces(); rest_.substr(0, 1) != ">" && rest_.substr(0, 2) != "/>"; skip_spaces()) {
      const auto key = name();
      const auto quote = rest_.substr(0, 2) == "=\"" ? rest_.find('"', 2) : std::string::npos;
      if (key.empty() || quote == std::string::npos || !seen.insert(key).second) {
        return false;
      }
      const auto value = rest_.substr(2, quote - 2);
      references(value);
      if (value.find('<') != std::string::npos) {
        return false;
      }
      skip(quote + 1);
    }
    return true;
  }

  std::string_view rest_;
  std::vector<std::string> open_;
  int roots_ = 0;
  std::string problem_;
};

inline std::string xml_problem(const std::string& xml) {
  return XmlScanner(xml).problem();
}

}  // namespace crossloom::test
