#include "models/pre_tokenizer.h"

#include <algorithm>
#include <cctype>

#include "common/error.h"
#include "models/regex.h"

namespace crossloom::models {
namespace {

/// GPT-2's pattern: contractions, words, numbers, other symbols, whitespace.
constexpr const char* kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

[[noreturn]] void refuse(const char* key, const std::string& expected, const std::string& got,
                         const std::string& source) {
  throw DataError({.what = fmt::format("This tokenizer's '{}' is not supported", key),
                   .expected = expected,
                   .got = got,
                   .where = source,
                   .hint = "Supported: byte-level BPE as used by SmolLM2, GPT-2, Llama 3, Qwen."});
}

/// A stretch of text, and whether the pattern matched it.
struct Part {
  std::string text;
  bool matched = false;
};

/// `text` cut at the matches, in order, nothing lost.
std::vector<Part> parts_of(const std::string& text, const Regex& pattern, bool invert) {
  std::vector<Part> parts;
  size_t at = 0;
  for (const Span& match : pattern.find_all(text)) {
    if (match.begin > at) {
      parts.push_back({text.substr(at, match.begin - at), invert});
    }
    parts.push_back({text.substr(match.begin, match.end - match.begin), !invert});
    at = match.end;
  }
  if (at < text.size()) {
    parts.push_back({text.substr(at), invert});
  }
  return parts;
}

enum class Behavior : uint8_t {
  kRemoved,
  kIsolated,
  kMergedWithPrevious,
  kMergedWithNext,
  kContiguous
};

Behavior behavior_from(const std::string& name, const std::string& source) {
  const std::pair<const char*, Behavior> known[] = {
      {"Removed", Behavior::kRemoved},
      {"Isolated", Behavior::kIsolated},
      {"MergedWithPrevious", Behavior::kMergedWithPrevious},
      {"MergedWithNext", Behavior::kMergedWithNext},
      {"Contiguous", Behavior::kContiguous}};
  for (const auto& [text, behavior] : known) {
    if (name == text) {
      return behavior;
    }
  }
  refuse("behavior", "Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous", name,
         source);
}

/// Whether a part joins the piece before it (in the direction of travel).
bool joins(Behavior behavior, bool matched, bool previous_matched) {
  switch (behavior) {
    case Behavior::kContiguous:
      return matched == previous_matched;
    case Behavior::kMergedWithPrevious:
    case Behavior::kMergedWithNext:
      return matched && !previous_matched;
    default:
      return false;
  }
}

std::vector<std::string> arrange(std::vector<Part> parts, Behavior behavior) {
  std::vector<std::string> pieces;
  const bool backwards = behavior == Behavior::kMergedWithNext;
  if (backwards) {
    std::reverse(parts.begin(), parts.end());
  }
  bool previous_matched = behavior == Behavior::kContiguous && !parts.empty() && !parts[0].matched;
  for (auto& part : parts) {
    if (behavior == Behavior::kRemoved) {
      if (!part.matched) {
        pieces.push_back(std::move(part.text));
      }
      continue;
    }
    if (!pieces.empty() && joins(behavior, part.matched, previous_matched)) {
      pieces.back() = backwards ? part.text + pieces.back() : pieces.back() + part.text;
    } else {
      pieces.push_back(std::move(part.text));
    }
    previous_matched = part.matched;
  }
  if (backwards) {
    std::reverse(pieces.begin(), pieces.end());
  }
  return pieces;
}

class SplitByPattern : public PreTokenizer {
 public:
  SplitByPattern(const std::string& pattern, Behavior behavior, bool invert,
                 const std::string& source)
      : pattern_(pattern, source), behavior_(behavior), invert_(invert) {}

  std::vector<std::string> split(std::vector<std::string> pieces) const override {
    std::vector<std::string> out;
    for (const auto& piece : pieces) {
      for (auto& part : arrange(parts_of(piece, pattern_, invert_), behavior_)) {
        out.push_back(std::move(part));
      }
    }
    return out;
  }

 private:
  Regex pattern_;
  Behavior behavior_;
  bool invert_;
};

/// Puts a space in front of each piece that does not begin with whitespace.
class PrefixSpace : public PreTokenizer {
 public:
  explicit PrefixSpace(const std::string& source) : space_(R"(\A\s)", source) {}
  std::vector<std::string> split(std::vector<std::string> pieces) const override {
    for (auto& piece : pieces) {
      if (space_.find_all(piece).empty()) {
        piece.insert(piece.begin(), ' ');
      }
    }
    return pieces;
  }

 private:
  Regex space_;
};

class Sequence : public PreTokenizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<PreTokenizer>> steps) : steps_(std::move(steps)) {}
  std::vector<std::string> split(std::vector<std::string> pieces) const override {
    for (const auto& step : steps_) {
      pieces = step->split(std::move(pieces));
    }
    return pieces;
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> steps_;
};

std::unique_ptr<PreTokenizer> make_byte_level(const Json& json, const std::string& source) {
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  if (json_field_or<bool>(json, "add_prefix_space", true, source)) {
    steps.push_back(std::make_unique<PrefixSpace>(source));
  }
  if (json_field_or<bool>(json, "use_regex", true, source)) {
    steps.push_back(
        std::make_unique<SplitByPattern>(kByteLevelPattern, Behavior::kIsolated, false, source));
  }
  return std::make_unique<Sequence>(std::move(steps));
}

std::unique_ptr<PreTokenizer> make_digits(const Json& json, const std::string& source) {
  const bool individual = json_field_or<bool>(json, "individual_digits", false, source);
  return std::make_unique<SplitByPattern>(
      R"(\p{N})", individual ? Behavior::kIsolated : Behavior::kContiguous, false, source);
}

/// A literal as a pattern: everything that could mean something else is escaped.
std::string literal_pattern(const std::string& text) {
  std::string pattern;
  for (const char c : text) {
    const bool special =
        static_cast<unsigned char>(c) < 0x80 && !std::isalnum(static_cast<unsigned char>(c));
    pattern += special ? std::string{'\\', c} : std::string{c};
  }
  return pattern;
}

std::unique_ptr<PreTokenizer> make_split(const Json& json, const std::string& source) {
  const Json pattern = json_field<Json>(json, "pattern", source);
  const bool is_regex = pattern.is_object() && pattern.contains("Regex");
  const std::string text =
      is_regex ? json_field<std::string>(pattern, "Regex", source)
               : literal_pattern(json_field<std::string>(pattern, "String", source));
  return std::make_unique<SplitByPattern>(
      text, behavior_from(json_field<std::string>(json, "behavior", source), source),
      json_field_or<bool>(json, "invert", false, source), source);
}

}  // namespace

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const Json& json, const std::string& source) {
  if (json.is_null()) {
    return std::make_unique<Sequence>(std::vector<std::unique_ptr<PreTokenizer>>{});
  }
  const auto type = json_field<std::string>(json, "type", source + ", pre_tokenizer");
  const std::string where = fmt::format("{}, pre_tokenizer {}", source, type);
  if (type == "ByteLevel") {
    return make_byte_level(json, where);
  }
  if (type == "Digits") {
    return make_digits(json, where);
  }
  if (type == "Split") {
    return make_split(json, where);
  }
  if (type != "Sequence") {
    refuse("pre_tokenizer", "ByteLevel, Digits, Split or Sequence", type, source);
  }
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  const Json list = json_field<Json>(json, "pretokenizers", where);
  for (const Json& step : list) {
    steps.push_back(make_pre_tokenizer(step, source));
  }
  return std::make_unique<Sequence>(std::move(steps));
}

}  // namespace crossloom::models
