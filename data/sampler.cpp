#include "data/sampler.h"

#include <algorithm>

#include "common/rng.h"
#include "data/shard_format.h"

namespace crossloom::data {

void check_sampler(const SamplerOptions& options, int64_t training_rows) {
  if (options.batch_rows < 1 || options.window_blocks < 1) {
    throw ConfigError({.what = "A batch or a shuffle window is empty",
                       .expected = "at least 1",
                       .got = fmt::format("batch {} rows, window {} blocks", options.batch_rows,
                                          options.window_blocks),
                       .where = "loader.batch_tokens, loader.window_blocks",
                       .hint = "Leave them at their defaults."});
  }
  if (training_rows < options.batch_rows) {
    throw ConfigError({.what = "The cache has fewer training rows than one batch",
                       .expected = fmt::format("at least {} rows", options.batch_rows),
                       .got = fmt::format("{} rows", training_rows),
                       .where = "loader.batch_tokens",
                       .hint = "Harvest more tokens, or use a smaller batch."});
  }
}

Sampler::Sampler(const std::vector<Block>& blocks, RowSelection training, SamplerOptions options)
    : blocks_(blocks), training_(std::move(training)), options_(options) {
  check_sampler(options_, training_.size());
}

int64_t Sampler::block_training_rows(int64_t block) const {
  const Block& b = blocks_[size_t(block)];
  return training_.count_before(b.first_row + b.rows) - training_.count_before(b.first_row);
}

void Sampler::prepare(int64_t epoch) {
  if (epoch == epoch_) {
    return;
  }
  const Rng rng = Rng(options_.seed, Purpose::kShuffleBlocks).with(uint64_t(epoch));
  order_.clear();
  before_.assign(1, 0);
  for (uint64_t i = 0; i < blocks_.size(); ++i) {
    order_.push_back(int64_t(rng.permute(i, blocks_.size())));
    before_.push_back(before_.back() + block_training_rows(order_.back()));
  }
  epoch_ = epoch;
}

std::vector<int64_t> Sampler::window_blocks(int64_t epoch, int64_t window) const {
  const Rng rng = Rng(options_.seed, Purpose::kShuffleBlocks).with(uint64_t(epoch));
  const auto total = int64_t(blocks_.size());
  const int64_t end = std::min(total, (window + 1) * options_.window_blocks);
  std::vector<int64_t> blocks;
  for (int64_t i = window * options_.window_blocks; i < end; ++i) {
    blocks.push_back(int64_t(rng.permute(uint64_t(i), uint64_t(total))));
  }
  return blocks;
}

/// `position` is in the epoch; `window` the one that holds it; prepare() was called.
int64_t Sampler::row_at(int64_t position, int64_t window) const {
  const int64_t first = window * options_.window_blocks;
  const int64_t last = std::min(int64_t(order_.size()), first + options_.window_blocks);
  const int64_t begin = before_[size_t(first)];
  const auto size = static_cast<uint64_t>(before_[size_t(last)] - begin);
  const Rng rng =
      Rng(options_.seed, Purpose::kShuffleRows).with(uint64_t(epoch_)).with(uint64_t(window));
  const int64_t shuffled = begin + int64_t(rng.permute(uint64_t(position - begin), size));
  const auto after = std::upper_bound(before_.begin() + first, before_.begin() + last, shuffled);
  const auto i = size_t(after - before_.begin() - 1);  // block i of the order holds it
  const int64_t first_row = blocks_[size_t(order_[i])].first_row;
  return training_.row(training_.count_before(first_row) + shuffled - before_[i]);
}

std::vector<WindowRows> Sampler::rows(int64_t step, int64_t begin, int64_t end) {
  CROSSLOOM_CHECK(step >= 0 && 0 <= begin && begin <= end && end <= options_.batch_rows,
                  "positions [{}, {}) of step {}", begin, end, step);
  prepare(step / steps_per_epoch());
  const int64_t first = step % steps_per_epoch() * options_.batch_rows;
  std::vector<WindowRows> result;
  for (int64_t position = first + begin; position < first + end; ++position) {
    const auto after = std::upper_bound(before_.begin(), before_.end(), position);
    const int64_t window = (after - before_.begin() - 1) / options_.window_blocks;
    if (result.empty() || result.back().window != window) {
      result.push_back({epoch_, window, {}});
    }
    result.back().rows.push_back(row_at(position, window));
  }
  return result;
}

std::vector<int64_t> Sampler::rows(int64_t step) {
  std::vector<int64_t> all;
  for (const auto& part : rows(step, 0, options_.batch_rows)) {
    all.insert(all.end(), part.rows.begin(), part.rows.end());
  }
  return all;
}

uint64_t Sampler::batch_hash(int64_t step) {
  const auto all = rows(step);
  return xxh3(std::as_bytes(std::span(all)));
}

BatchSlice batch_slice(int64_t batch_rows, int64_t rank, int64_t rank_count) {
  return {batch_rows * rank / rank_count, batch_rows * (rank + 1) / rank_count};
}

}  // namespace crossloom::data
