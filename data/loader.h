// Batches for training: sampler → one reader thread → a bounded queue → next(). The thread reads a
// window's blocks once (window_buffer.h), gathers this rank's rows of every batch, and keeps up to
// `prefetch_batches` of them ready. Batch s is a function of (seed, s) and of this rank's slice.
//
// Bytes: every rank reads all blocks of a window, so R ranks of one machine read each block R
// times, R − 1 of them from the page cache. Memory of a rank: window_blocks blocks and
// prefetch_batches + 2 batches; with the defaults, 30 layers of width 576 and 512 rows a rank
// 8 · 71 MB + 4 · 35 MB = 0.71 GB.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "common/options.h"
#include "data/batch.h"
#include "data/sampler.h"
#include "data/shard_set.h"
#include "data/window_buffer.h"

namespace crossloom::data {

struct LoaderOptions : Options {
  int64_t batch_tokens = 1024;
  int64_t window_blocks = 8;
  int64_t prefetch_batches = 2;
  double held_out_share = 0.05;
  int64_t seed = 0;
  int64_t held_out_seed = 0;  // its own: runs of several seeds are compared on the same text

  void visit(OptionVisitor& visitor) override;
};

/// split_rows with these options' share and seed.
RowSplit split_rows(const ShardSet& set, const LoaderOptions& options);

/// Throws ConfigError where `rank_count` ranks cannot draw batches of so many training rows.
void check_loader(const LoaderOptions& options, int64_t training_rows, int64_t rank_count);

class Loader {
 public:
  /// Begins with the batch of `first_step`. `set` outlives the loader. Throws ConfigError as
  /// check_loader does.
  Loader(const ShardSet& set, const RowSelection& training, const LoaderOptions& options,
         int64_t rank, int64_t rank_count, int64_t first_step = 0);
  /// Stops and joins the reader thread.
  ~Loader() = default;
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// This rank's rows of the next global batch: [T_rank, D] per layer. Rethrows what the reader
  /// thread met (DataError).
  Batch next();

  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  /// Bytes read from files so far.
  int64_t bytes_read() const;

 private:
  void read_all(const std::stop_token& stop, int64_t step);
  Batch read_batch(int64_t step);
  bool push(const std::stop_token& stop, Batch batch);

  const ShardSet& set_;
  Sampler sampler_;      // used by the reader thread alone
  WindowBuffer buffer_;  // likewise
  BatchSlice slice_;
  int64_t steps_per_epoch_;
  int64_t capacity_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::deque<Batch> ready_;
  std::exception_ptr error_;
  int64_t bytes_read_ = 0;

  std::jthread thread_;  // last: stops and joins before anything else goes
};

}  // namespace crossloom::data
