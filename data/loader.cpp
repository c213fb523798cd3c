#include "data/loader.h"

#include <utility>

namespace crossloom::data {
namespace {

SamplerOptions sampler_options(const LoaderOptions& options) {
  return {.seed = uint64_t(options.seed),
          .batch_rows = options.batch_tokens,
          .window_blocks = options.window_blocks};
}

}  // namespace

void LoaderOptions::visit(OptionVisitor& visitor) {
  visitor.field("batch_tokens", batch_tokens, "tokens of a step, over all ranks");
  visitor.field("window_blocks", window_blocks, "blocks that are shuffled together in memory");
  visitor.field("prefetch_batches", prefetch_batches, "batches kept ready");
  visitor.field("held_out_share", held_out_share, "share of the documents never trained on");
  visitor.field("seed", seed, "of the shuffle");
  visitor.field("held_out_seed", held_out_seed, "of the choice of held-out documents");
}

RowSplit split_rows(const ShardSet& set, const LoaderOptions& options) {
  return split_rows(set, options.held_out_share, static_cast<uint64_t>(options.held_out_seed));
}

void check_loader(const LoaderOptions& options, int64_t training_rows, int64_t rank_count) {
  check_sampler(sampler_options(options), training_rows);
  require_at_least("loader.prefetch_batches", options.prefetch_batches, 1);
  if (options.batch_tokens < rank_count) {
    throw ConfigError({.what = "A batch has fewer tokens than there are ranks",
                       .expected = fmt::format("at least {}", rank_count),
                       .got = fmt::format("{}", options.batch_tokens),
                       .where = "loader.batch_tokens",
                       .hint = "Use a larger batch or fewer ranks."});
  }
}

Loader::Loader(const ShardSet& set, const RowSelection& training, const LoaderOptions& options,
               int64_t rank, int64_t rank_count, int64_t first_step)
    : set_(set),
      sampler_(set.blocks(), training, sampler_options(options)),
      buffer_(set),
      slice_(batch_slice(options.batch_tokens, rank, rank_count)),
      steps_per_epoch_(sampler_.steps_per_epoch()),
      capacity_(options.prefetch_batches) {
  check_loader(options, training.size(), rank_count);
  thread_ =
      std::jthread([this, first_step](const std::stop_token& stop) { read_all(stop, first_step); });
}

void Loader::read_all(const std::stop_token& stop, int64_t step) {
  try {
    while (!stop.stop_requested() && push(stop, read_batch(step))) {
      ++step;
    }
  } catch (...) {
    const std::scoped_lock lock(mutex_);
    error_ = std::current_exception();
    changed_.notify_all();
  }
}

Batch Loader::read_batch(int64_t step) {
  Batch batch = make_batch(set_, slice_.end - slice_.begin);
  int64_t at = 0;
  for (const auto& part : sampler_.rows(step, slice_.begin, slice_.end)) {
    buffer_.load(sampler_.window_blocks(part.epoch, part.window));
    buffer_.gather(part.rows, at, batch);
    at += int64_t(part.rows.size());
  }
  return batch;
}

/// False when asked to stop while the queue is full.
bool Loader::push(const std::stop_token& stop, Batch batch) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait(lock, stop, [this] { return std::cmp_less(ready_.size(), capacity_); })) {
    return false;
  }
  ready_.push_back(std::move(batch));
  bytes_read_ = buffer_.bytes_read();
  changed_.notify_all();
  return true;
}

Batch Loader::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !ready_.empty() || error_; });
  if (ready_.empty()) {
    std::rethrow_exception(error_);
  }
  Batch batch = std::move(ready_.front());
  ready_.pop_front();
  changed_.notify_all();
  return batch;
}

int64_t Loader::bytes_read() const {
  const std::scoped_lock lock(mutex_);
  return bytes_read_;
}

}  // namespace crossloom::data
