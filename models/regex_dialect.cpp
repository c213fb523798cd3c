#include "models/regex_dialect.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "common/error.h"
#include "models/unicode_additions.h"

namespace crossloom::models {
namespace {

constexpr size_t kPatternLimit_bytes = 4096;
constexpr int kRepeatLimit = 1000;

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// Categories with additions carry them; these have none since Unicode 14 in the reference.
bool is_settled_category(std::string_view name) {
  constexpr std::string_view kSettled[] = {"Lt", "Z", "Zs", "Zl", "Zp"};
  return std::find(std::begin(kSettled), std::end(kSettled), name) != std::end(kSettled);
}

const UnicodeAddition* find_addition(std::string_view category) {
  const auto* found =
      std::find_if(std::begin(kUnicodeAdditions), std::end(kUnicodeAdditions),
                   [&](const UnicodeAddition& addition) { return addition.category == category; });
  return found == std::end(kUnicodeAdditions) ? nullptr : found;
}

/// One pass over the pattern, left to right; `at_` is the next character to read.
class Translator {
 public:
  Translator(std::string_view pattern, const std::string& source)
      : pattern_(pattern), source_(source) {}

  std::string run() {
    if (pattern_.size() > kPatternLimit_bytes) {
      refuse(fmt::format("more than {} bytes", kPatternLimit_bytes));
    }
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        escape(false);
      } else if (c == '[') {
        character_class();
      } else if (c == '(') {
        open_group();
      } else if (c == ')') {
        close_group();
      } else if (c == '{') {
        interval();
      } else {
        copy(1);
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const std::string& construct) const {
    throw DataError({.what = "A tokenizer pattern uses a construct that is not supported",
                     .expected = "literals, classes of characters and general categories, groups, "
                                 "look-around, repeats",
                     .got = fmt::format("{} at byte {} of {}", construct, at_, pattern_),
                     .where = source_,
                     .hint = "Token ids would differ from the reference's: use another model, or "
                             "extend models/regex_dialect.cpp."});
  }

  char peek(size_t ahead) const {
    return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0';
  }
  bool starts_with(std::string_view text) const {
    return pattern_.substr(at_).substr(0, text.size()) == text;
  }
  void copy(size_t count) {
    out_ += pattern_.substr(at_, count);
    at_ += count;
  }

  /// A set of characters, inside a class as items and outside as a class of its own.
  void put_set(const std::string& items, bool negated, bool in_class) {
    if (in_class && negated) {
      refuse("a negated set inside a class");
    }
    out_ += in_class ? items : (negated ? "[^" : "[") + items + "]";
  }

  /// Returns true when the escape stands for a set of characters.
  bool escape(bool in_class) {
    const char kind = peek(1);
    switch (kind) {
      case 's':
      case 'S':
        out_ += kind == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
        at_ += 2;
        return true;
      case 'd':
      case 'D':
        put_set(category_class_items("Nd"), kind == 'D', in_class);
        at_ += 2;
        return true;
      case 'p':
      case 'P':
        property(kind == 'P', in_class);
        return true;
      case 'x':
      case 'u':
        code_point(kind);
        return false;
      default:
        break;
    }
    const bool named = kind == 'r' || kind == 'n' || kind == 't' || kind == 'f';
    const bool punctuation = kind > ' ' && kind < '\x7F' && !is_alphanumeric(kind);
    if (!named && !punctuation) {
      refuse(fmt::format("\\{}", std::string(1, kind)));
    }
    copy(2);
    return false;
  }

  void property(bool negated, bool in_class) {
    const size_t close = pattern_.find('}', at_);
    if (peek(2) != '{' || close == std::string_view::npos) {
      refuse("a property without braces");
    }
    const std::string_view name = pattern_.substr(at_ + 3, close - at_ - 3);
    if (name == "numeric" || (find_addition(name) == nullptr && !is_settled_category(name))) {
      refuse(fmt::format("the property {}", name));
    }
    if (ignore_case_depth() > 0) {
      refuse("a property inside (?i:…)");
    }
    put_set(category_class_items(name), negated, in_class);
    at_ = close + 1;
  }

  /// \xHH, \x{H…} and \uHHHH.
  void code_point(char kind) {
    const bool braces = kind == 'x' && peek(2) == '{';
    const size_t first = at_ + (braces ? 3 : 2);
    const size_t longest = braces ? 6 : kind == 'x' ? 2 : 4;
    size_t end = first;
    while (end < pattern_.size() && end - first < longest && is_hex(pattern_[end])) {
      ++end;
    }
    const bool complete = braces ? end > first && end < pattern_.size() && pattern_[end] == '}'
                                 : end - first == longest;
    if (!complete || (kind == 'x' && !braces && pattern_[first] > '7')) {
      refuse(fmt::format("\\{} without a character", std::string(1, kind)));
    }
    out_ += fmt::format("\\x{{{}}}", pattern_.substr(first, end - first));
    at_ = end + (braces ? 1 : 0);
  }

  void character_class() {
    copy(peek(1) == '^' ? 2 : 1);
    if (peek(0) == ']') {
      refuse("']' as the first character of a class");
    }
    const size_t first = at_;
    bool after_set = false;  // the last item was a set, so that '-' cannot make a range with it
    while (peek(0) != ']') {
      if (at_ >= pattern_.size()) {
        refuse("a class without an end");
      }
      if (peek(0) == '[' || starts_with("&&")) {
        refuse("a class inside a class");
      }
      if (peek(0) == '-' && after_set && peek(1) != ']') {
        refuse("a range that begins with a set");
      }
      const bool after_dash = at_ > first && pattern_[at_ - 1] == '-' && at_ - 1 > first;
      if (peek(0) == '\\') {
        after_set = escape(true);
        if (after_set && after_dash) {
          refuse("a range that ends with a set");
        }
      } else {
        copy(1);
        after_set = false;
      }
    }
    copy(1);
  }

  void open_group() {
    constexpr std::string_view kGroups[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
    if (starts_with("(?i:")) {
      groups_.push_back(true);
      copy(4);
      return;
    }
    for (const std::string_view group : kGroups) {
      if (starts_with(group)) {
        groups_.push_back(false);
        copy(group.size());
        return;
      }
    }
    if (peek(1) == '?' || peek(1) == '*') {
      refuse(fmt::format("({}{}", std::string(1, peek(1)), std::string(1, peek(2))));
    }
    groups_.push_back(false);
    copy(1);
  }

  void close_group() {
    if (groups_.empty()) {
      refuse("')' without '('");
    }
    groups_.pop_back();
    copy(1);
  }

  /// {n}, {n,} or {n,m}.
  void interval() {
    const size_t close = pattern_.find('}', at_);
    const std::string_view body =
        close == std::string_view::npos ? "" : pattern_.substr(at_ + 1, close - at_ - 1);
    const size_t comma = body.find(',');
    const std::string_view low = body.substr(0, comma);
    const std::string_view high =
        comma == std::string_view::npos ? low : body.substr(comma + 1, body.size());
    if (!is_count(low) || (!high.empty() && !is_count(high))) {
      refuse("'{' that is not a repeat");
    }
    const char next = close + 1 < pattern_.size() ? pattern_[close + 1] : '\0';
    if (next == '?' || next == '+') {
      refuse(fmt::format("a repeat followed by '{}'", std::string(1, next)));
    }
    copy(close + 1 - at_);
  }

  static bool is_count(std::string_view digits) {
    int value = 0;
    for (const char digit : digits) {
      if (digit < '0' || digit > '9' || value > kRepeatLimit) {
        return false;
      }
      value = 10 * value + (digit - '0');
    }
    return !digits.empty() && value <= kRepeatLimit;
  }

  int64_t ignore_case_depth() const { return std::count(groups_.begin(), groups_.end(), true); }

  std::string_view pattern_;
  const std::string& source_;
  std::string out_;
  std::vector<bool> groups_;  // open groups; true: (?i:
  size_t at_ = 0;
};

}  // namespace

std::string translate_pattern(std::string_view pattern, const std::string& source) {
  return Translator(pattern, source).run();
}

std::string category_class_items(std::string_view category) {
  const UnicodeAddition* addition = find_addition(category);
  CROSSLOOM_CHECK(addition != nullptr || is_settled_category(category), "no category '{}'",
                  category);
  const std::string base =
      fmt::format("\\p{{{}}}", category == "numeric" ? std::string_view("N") : category);
  return addition == nullptr ? base : base + addition->ranges;
}

}  // namespace crossloom::models
