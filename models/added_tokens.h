// Added tokens are found in the text before anything else: leftmost first, then longest. Those
// matched on the raw text (normalized: false) come first, the others in what is left, as in the
// reference. lstrip and rstrip let a token swallow the white space beside it; single_word refuses
// a match that touches a word character.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/json_file.h"
#include "models/regex.h"
#include "models/tokenizer.h"

namespace crossloom::models {

struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool special = false;
  bool lstrip = false;
  bool rstrip = false;
  bool single_word = false;
  bool normalized = false;
};

/// From the value of "added_tokens". Throws DataError.
std::vector<AddedToken> parse_added_tokens(const Json& list, const std::string& source);

class AddedTokens {
 public:
  /// Contents and ids are unique. Throws InternalError when they are not.
  explicit AddedTokens(std::vector<AddedToken> tokens);

  struct Cut {
    std::string_view text;
    TokenId id = -1;  // -1: text between added tokens
  };
  /// Cuts that cover `text` (valid UTF-8), none empty; swallowed white space belongs to its token.
  std::vector<Cut> cut(std::string_view text) const;

  /// nullptr when there is none.
  const AddedToken* with_id(TokenId id) const;
  const AddedToken* with_content(std::string_view content) const;
  const std::vector<AddedToken>& all() const { return tokens_; }

 private:
  /// Tokens of one pass, sorted by content, so that a prefix is a range.
  struct Pass {
    std::vector<const AddedToken*> sorted;
    std::array<bool, 256> begins{};  // bytes some token begins with

    const AddedToken* longest_at(std::string_view text, size_t at) const;
  };
  void find(const Pass& pass, std::string_view text, std::vector<Cut>& cuts) const;
  bool stands_alone(std::string_view text, size_t begin, size_t end) const;

  std::vector<AddedToken> tokens_;
  std::unordered_map<TokenId, const AddedToken*> by_id_;
  Pass raw_;
  Pass normalized_;
  Regex word_;  // one word character
};

}  // namespace crossloom::models
