// Byte-level BPE read from a Hugging Face tokenizer.json: added tokens are cut out first, the rest
// is split by the pre-tokenizer, bytes become printable symbols, pairs merge by rank.
// Ids equal the `tokenizers` library's (tests/models/tokenizer_test.cpp).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace crossloom::models {

using TokenId = int32_t;

class Tokenizer {
 public:
  /// From `<folder>/tokenizer.json` or a path to such a file. Throws DataError.
  static Tokenizer load(const std::string& folder_or_file);
  /// From the text of a tokenizer.json; `source` is what errors call it. Throws DataError.
  Tokenizer(const std::string& tokenizer_json, const std::string& source);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  /// Ids without any special token put in front. Added tokens inside the text are recognised.
  /// Invalid UTF-8 is replaced by U+FFFD as the reference's callers do.
  std::vector<TokenId> encode(std::string_view text) const;

  /// The bytes the ids stand for, special tokens included; invalid UTF-8 becomes U+FFFD.
  std::string decode(const std::vector<TokenId>& ids) const;
  /// The raw bytes of one id (may be a part of a character): for streaming.
  std::string token_bytes(TokenId id) const;

  int64_t vocabulary_size() const;
  bool is_special(TokenId id) const;
  /// -1 when there is no such token.
  TokenId id_of(std::string_view token) const;
  /// xxh3-64 of the file's bytes as 16 hex digits: the identity stored with shards.
  const std::string& hash() const;

 private:
  struct Parts;
  std::unique_ptr<const Parts> parts_;
};

/// The one BOS rule (harvest, eval, graphs, generation): when the first id is special the ids are
/// left alone, else `bos_id` is put in front. Id 0 counts like any other.
std::vector<TokenId> with_bos(std::vector<TokenId> ids, const Tokenizer& tokenizer, TokenId bos_id);

}  // namespace crossloom::models
