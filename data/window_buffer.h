// A few blocks in memory, from which rows are gathered in any order. Each block is read once, whole
// (2L + 3 chunks, one pread each, checksums verified); a row then costs one memcpy per field.
//
// Memory: blocks · chunk_rows · (2·L·(D_in + D_out) + 16) bytes; for 30 layers of width 576 and
// 1024-row chunks 71 MB a block.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/batch.h"
#include "data/shard_set.h"

namespace crossloom::data {

class WindowBuffer {
 public:
  /// `set` outlives the buffer.
  explicit WindowBuffer(const ShardSet& set) : set_(set) {}

  /// Afterwards exactly these blocks are held. Throws DataError.
  void load(std::span<const int64_t> blocks);

  /// Copies `rows` (in the whole cache, all in held blocks) to rows [at, at + n) of `into`.
  void gather(std::span<const int64_t> rows, int64_t at, Batch& into) const;

  int64_t bytes_read() const { return bytes_read_; }

 private:
  struct Source {
    int64_t slot, row;  // place in the buffer, row inside the block
  };
  int64_t field_offset(int64_t field) const;
  void copy_field(int64_t field, std::span<const Source> sources, int64_t at,
                  at::Tensor& into) const;

  const ShardSet& set_;
  std::vector<int64_t> held_;                 // [slots] block held by each slot
  std::vector<std::vector<std::byte>> data_;  // [slots] of all fields' chunks, one after the other
  int64_t bytes_read_ = 0;
};

/// An uninitialised batch of `rows` rows with the set's shapes.
Batch make_batch(const ShardSet& set, int64_t rows);

/// Rows in ascending order, read block by block (evaluation, held-out rows). Throws DataError.
Batch read_rows(const ShardSet& set, std::span<const int64_t> rows);

}  // namespace crossloom::data
