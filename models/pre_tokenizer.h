// The pre-tokenizer of a tokenizer.json: cuts text into the pieces inside which pairs may merge.
// Supported: ByteLevel, Digits, Split, and Sequences of them that end in ByteLevel; everything
// else is refused by name. Each becomes one or two steps applied to every piece in turn.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "common/json_file.h"
#include "models/regex.h"

namespace crossloom::models {

/// Pieces in text order. Views point into the text given, or into `owned` where a step changed it.
struct Pieces {
  std::vector<std::string_view> views;
  std::deque<std::string> owned;
};

/// What happens to the matches of a splitting pattern (the reference's SplitDelimiterBehavior).
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// A stretch of a piece: either a match of the pattern or what lies between two matches.
struct Stretch {
  Span span;
  bool is_match = false;
};

/// Joins or drops stretches that cover a piece, as `behavior` says.
std::vector<Span> join_stretches(const std::vector<Stretch>& stretches, SplitBehavior behavior);

class PreTokenizer {
 public:
  /// From the value of "pre_tokenizer"; `source` is what errors call the file. Throws DataError.
  PreTokenizer(const Json& spec, const std::string& source);

  /// Pieces of `text` (valid UTF-8, not empty), which must outlive them; none is empty.
  /// Throws DataError when a pattern reaches its limits.
  void split(std::string_view text, Pieces& pieces) const;

 private:
  struct Step {
    bool prefix_space = false;  // put a space in front of each piece; else split by `regex`
    std::vector<Regex> regex;   // one, or none for prefix_space
    SplitBehavior behavior = SplitBehavior::kIsolated;
    bool invert = false;  // split by what does not match
  };

  void add(const Json& spec, const std::string& source);
  void add_byte_level(const Json& spec, const std::string& source);
  void add_digits(const Json& spec, const std::string& source);
  void add_split(const Json& spec, const std::string& source);
  void add_pattern(const std::string& pattern, SplitBehavior behavior, const std::string& source);
  static void apply(const Step& step, Pieces& pieces);

  std::vector<Step> steps_;
  bool ends_in_bytes_ = false;
};

}  // namespace crossloom::models
