// Which rows a step trains on: a two-level shuffle, evaluated from (seed, epoch, step) alone. No
// list of rows is kept, nothing depends on the rank count, and any step can be recomputed.
//
//   level 1  the B blocks (1 block = 1 chunk of rows) in the order  π_e(i) = permute(seed, e; i, B)
//   windows  W consecutive blocks of that order; a window holds M training rows
//   level 2  inside window w the training rows in the order  permute(seed, e, w; q, M)
//
// The epoch is the concatenation of its windows: N training rows. Step s of the epoch takes
// positions [s·T, (s+1)·T). Remainder rule: the last N mod T positions of an epoch are left out, on
// every rank alike; each row is seen at most once per epoch. A row moves by up to W·chunk_rows rows
// (the shuffle distance); documents are spread by harvest before that.
#pragma once

#include <cstdint>
#include <vector>

#include "data/row_selection.h"
#include "data/shard_set.h"

namespace crossloom::data {

struct SamplerOptions {
  uint64_t seed = 0;
  int64_t batch_rows = 1024;  // T, over all ranks
  int64_t window_blocks = 8;  // W
};

/// Throws ConfigError when a batch or a window is empty, or so many training rows fill no batch.
void check_sampler(const SamplerOptions& options, int64_t training_rows);

/// A run of a batch's rows that come from one window.
struct WindowRows {
  int64_t epoch = 0;
  int64_t window = 0;
  std::vector<int64_t> rows;  // in the whole cache
};

class Sampler {
 public:
  /// Throws ConfigError as check_sampler does.
  Sampler(const std::vector<Block>& blocks, RowSelection training, SamplerOptions options);

  int64_t steps_per_epoch() const { return training_.size() / options_.batch_rows; }
  int64_t batch_rows() const { return options_.batch_rows; }

  /// Rows of the global batch of `step` (counted over all epochs): [T].
  std::vector<int64_t> rows(int64_t step);
  /// Positions [begin, end) of that batch, window by window.
  std::vector<WindowRows> rows(int64_t step, int64_t begin, int64_t end);
  /// Blocks of a window, in the epoch's order.
  std::vector<int64_t> window_blocks(int64_t epoch, int64_t window) const;
  /// xxh3-64 of the global batch's row ids: ranks compare it to prove that they agree.
  uint64_t batch_hash(int64_t step);

 private:
  void prepare(int64_t epoch);
  int64_t row_at(int64_t position, int64_t window) const;
  int64_t block_training_rows(int64_t block) const;

  std::vector<Block> blocks_;
  RowSelection training_;
  SamplerOptions options_;
  // Of the epoch asked for last; a cache, not a state.
  int64_t epoch_ = -1;
  std::vector<int64_t> order_;   // [B] blocks of the epoch in order
  std::vector<int64_t> before_;  // [B + 1] training rows in front of the i-th block of the order
};

/// Rank r's share of a batch of T rows: positions [r·T/R, (r+1)·T/R).
struct BatchSlice {
  int64_t begin = 0, end = 0;
};
BatchSlice batch_slice(int64_t batch_rows, int64_t rank, int64_t rank_count);

}  // namespace crossloom::data
