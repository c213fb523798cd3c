// Added tokens: strings that are one id wherever they appear in a text (specials among them), found
// before pre-tokenisation. At each place the longest one wins. `lstrip`/`rstrip` also take the
// whitespace beside it; `single_word` ones only match between non-word characters.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/json_file.h"
#include "models/regex.h"

namespace crossloom::models {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;
  bool single_word = false;
  bool strip_left = false;
  bool strip_right = false;
};

class AddedTokens {
 public:
  /// From the "added_tokens" value. Throws DataError naming `source`.
  AddedTokens(const Json& json, const std::string& source);

  const std::vector<AddedToken>& all() const { return tokens_; }

  /// Cuts valid UTF-8 into stretches: `plain(text)` or `added(id)`, left to right.
  void scan(std::string_view text, const std::function<void(std::string_view)>& plain,
            const std::function<void(int32_t)>& added) const;

 private:
  const AddedToken* match_at(std::string_view text, size_t begin) const;
  bool stands_alone(std::string_view text, size_t begin, size_t end) const;

  std::vector<AddedToken> tokens_;
  std::array<std::vector<size_t>, 256> by_first_byte_;  // longest first
  Regex word_at_end_, word_at_start_, space_at_end_, space_at_start_;
};

}  // namespace crossloom::models
