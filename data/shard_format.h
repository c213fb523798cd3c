// The shard format's names and sizes, shared by writer and reader (FORMAT.md is the description).
// A shard is 2L + 3 datasets of equal row count, one row per token, cut into chunks of
// `chunk_rows` rows:
//   field 0 … L−1   /layer_{l}/inputs   bf16 [rows, D_in]
//   field L … 2L−1  /layer_{l}/targets  bf16 [rows, D_out]
//   2L, 2L+1, 2L+2  /tokens u32, /doc u64, /pos u32  [rows]
// and beside each of them `<name>_xxh3` u64 [chunks].
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "common/hash.h"
#include "data/hdf5_file.h"
#include "data/shard_identity.h"

namespace crossloom::data {

/// The 2L + 3 datasets by number.
class ShardFields {
 public:
  explicit ShardFields(const ShardIdentity& identity)
      : layers_(identity.layers), width_in_(identity.width_in), width_out_(identity.width_out) {}

  int64_t count() const { return 2 * layers_ + 3; }
  int64_t inputs(int64_t layer) const { return layer; }
  int64_t targets(int64_t layer) const { return layers_ + layer; }
  int64_t tokens() const { return 2 * layers_; }
  int64_t documents() const { return 2 * layers_ + 1; }
  int64_t positions() const { return 2 * layers_ + 2; }

  bool is_activation(int64_t field) const { return field < 2 * layers_; }
  /// Extent of the second dimension; 1 for ids.
  int64_t width(int64_t field) const;
  int64_t row_bytes(int64_t field) const;
  /// Sum over all fields: 2·L·(D_in + D_out) + 16.
  int64_t all_row_bytes() const;
  std::string name(int64_t field) const;           // "/layer_0/inputs"
  std::string checksum_name(int64_t field) const;  // "/layer_0/inputs_xxh3"
  /// The element type in the file.
  hdf5::Id file_type(int64_t field) const;

 private:
  int64_t layers_, width_in_, width_out_;
};

/// Rows of a chunk: the largest power of two ≤ 1024 for which a chunk of the wider side is at most
/// 2 MiB (D 576: 1024 rows, 1.1 MiB; D 2048: 512 rows; D 4096: 256 rows).
int64_t default_chunk_rows(const ShardIdentity& identity);

}  // namespace crossloom::data
