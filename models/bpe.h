// Byte-pair encoding of one piece. Each byte becomes the token of its symbol (bytes without a
// token are dropped, as the reference does without an unknown token); then the pair with the
// lowest rank, leftmost first, is merged until no pair is left. A heap of candidate merges over a
// linked list: O(n log n) for a piece of n bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/json_file.h"
#include "models/tokenizer.h"

namespace crossloom::models {

class Bpe {
 public:
  /// From the value of "model" in a tokenizer.json. Throws DataError.
  Bpe(const Json& model, const std::string& source);

  /// Working memory, reused between pieces by one caller.
  struct Scratch {
    struct Symbol {
      TokenId id;
      int64_t previous;  // -1: none
      int64_t next;      // -1: none
      bool alive;
    };
    struct Candidate {
      uint32_t rank;
      TokenId merged;
      int64_t at;  // the left symbol
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
  };

  /// Appends the ids of `piece` (bytes).
  void encode(std::string_view piece, std::vector<TokenId>& ids, Scratch& scratch) const;

  /// Token text in symbols → id.
  const std::unordered_map<std::string, TokenId>& vocabulary() const { return vocabulary_; }

 private:
  struct Merge {
    uint32_t rank;
    TokenId merged;
  };

  void read_vocabulary(const Json& model, const std::string& where);
  void read_merges(const Json& model, const std::string& where);
  void refuse_unsupported(const Json& model, const std::string& where) const;
  void merge_all(Scratch& scratch) const;
  void propose(Scratch& scratch, int64_t left) const;

  std::unordered_map<std::string, TokenId> vocabulary_;
  std::unordered_map<uint64_t, Merge> merges_;  // left id · 2^32 + right id
  std::array<TokenId, 256> byte_ids_{};         // -1: no token
  bool whole_pieces_first_ = false;             // "ignore_merges"
};

}  // namespace crossloom::models
