// Byte-pair encoding of one word: start from its bytes' tokens, then merge the adjacent pair of
// lowest rank (leftmost on ties) until none is left. O(n log n) by a queue over a linked list, so
// that a megabyte without a break is no problem.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/json_file.h"

namespace crossloom::models {

class BytePairModel {
 public:
  /// From the "model" value of a tokenizer.json. Throws DataError naming `source`.
  BytePairModel(const Json& json, const std::string& source);

  /// Appends the ids of a word (raw bytes). Bytes without a token are dropped, as the reference
  /// does.
  void encode(std::string_view word, std::vector<int32_t>& ids) const;

  const std::unordered_map<std::string, int32_t>& vocabulary() const { return vocabulary_; }

 private:
  struct Merge {
    int32_t rank;
    int32_t id;
  };
  static uint64_t pair_key(int32_t left, int32_t right) {
    return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) |
           static_cast<uint32_t>(right);
  }
  void read_vocabulary(const Json& json, const std::string& source);
  void read_merges(const Json& json, const std::string& source);
  void merge(std::vector<int32_t>& symbols) const;

  std::unordered_map<std::string, int32_t> vocabulary_;  // token as written → id
  std::unordered_map<uint64_t, Merge> merges_;
  std::array<int32_t, 256> byte_id_{};  // −1: no token
  bool ignore_merges_ = false;
};

}  // namespace crossloom::models
