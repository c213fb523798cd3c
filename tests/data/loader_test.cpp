#include "data/loader.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "common/mapped_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/tiny_shards.h"

namespace crossloom::data {
namespace {

constexpr SyntheticOptions kOptions{.rows = 500, .shards = 3};

LoaderOptions loader_options(int64_t batch) {
  LoaderOptions options;
  options.batch_tokens = batch;
  options.window_blocks = 3;
  options.held_out_share = 0.1;
  options.seed = 11;
  return options;
}

void expect_rows(const Batch& found, const Batch& all, const std::vector<int64_t>& rows,
                 const BatchSlice& slice) {
  const auto part = std::vector(rows.begin() + slice.begin, rows.begin() + slice.end);
  const at::Tensor index = at::empty({int64_t(part.size())}, at::kLong);
  std::copy(part.begin(), part.end(), index.mutable_data_ptr<int64_t>());
  for (size_t layer = 0; layer < all.x.size(); ++layer) {
    EXPECT_TRUE(at::equal(found.x[layer], all.x[layer].index_select(0, index)));
    EXPECT_TRUE(at::equal(found.y[layer], all.y[layer].index_select(0, index)));
  }
  EXPECT_TRUE(at::equal(found.tokens, all.tokens.index_select(0, index)));
  EXPECT_TRUE(at::equal(found.documents, all.documents.index_select(0, index)));
  EXPECT_TRUE(at::equal(found.positions, all.positions.index_select(0, index)));
}

TEST(Loader, DeliversTheSamplersRowsToEveryRank) {
  const test::TinyShards shards(kOptions);
  const ShardSet set(shards.folder());
  const auto options = loader_options(40);
  const RowSplit split = split_rows(set, options.held_out_share, uint64_t(options.seed));
  const Batch all = shards.all_rows();
  for (const int64_t ranks : {1, 2, 4}) {
    Sampler sampler(set.blocks(), split.training,
                    {.seed = 11, .batch_rows = 40, .window_blocks = 3});
    std::vector<std::unique_ptr<Loader>> loaders;
    for (int64_t rank = 0; rank < ranks; ++rank) {
      loaders.push_back(std::make_unique<Loader>(set, split.training, options, rank, ranks));
    }
    for (int64_t step = 0; step < 2 * sampler.steps_per_epoch() + 3; ++step) {
      for (int64_t rank = 0; rank < ranks; ++rank) {
        expect_rows(loaders[size_t(rank)]->next(), all, sampler.rows(step),
                    batch_slice(40, rank, ranks));
      }
    }
  }
}

TEST(Loader, BeginsAtAnyStep) {
  const test::TinyShards shards(kOptions);
  const ShardSet set(shards.folder());
  const RowSplit split = split_rows(set, 0.1, 11);
  Sampler sampler(set.blocks(), split.training, {.seed = 11, .batch_rows = 40, .window_blocks = 3});
  Loader loader(set, split.training, loader_options(40), 0, 1, 17);
  const Batch all = shards.all_rows();
  for (int64_t step = 17; step < 25; ++step) {
    expect_rows(loader.next(), all, sampler.rows(step), {0, 40});
  }
}

TEST(Loader, ErrorsOfTheThreadComeOutOfNext) {
  const test::TinyShards shards(kOptions);
  const ShardSet set(shards.folder());
  std::filesystem::resize_file(shards.shard_path(1), 5000);
  Loader loader(set, split_rows(set, 0.1, 11).training, loader_options(40), 0, 1);
  test::expect_error<DataError>(
      [&] {
        for (int step = 0; step < 20; ++step) {
          loader.next();
        }
      },
      {"cannot be read", shards.shard_path(1)});
  EXPECT_THROW(loader.next(), DataError) << "and stays";
}

TEST(Loader, StopsWhileTheQueueIsFull) {
  const test::TinyShards shards(kOptions);
  const ShardSet set(shards.folder());
  for (int i = 0; i < 20; ++i) {
    Loader loader(set, split_rows(set, 0.1, 11).training, loader_options(40), 0, 1);
    if (i % 2 == 0) {
      loader.next();
    }
  }
}

TEST(Loader, RefusesMoreRanksThanRows) {
  const test::TinyShards shards(kOptions);
  const ShardSet set(shards.folder());
  test::expect_error<ConfigError>(
      [&] { Loader(set, split_rows(set, 0.1, 11).training, loader_options(3), 0, 4); },
      {"fewer tokens than there are ranks"});
}

/// The quickstart's row (30 layers of width 576, 69 KB), a few thousand of them. Numbers go to the
/// log; the bound on bytes is exact: over an epoch each block is read once.
TEST(Loader, ReadsEachBlockOnceAnEpochAndSaysHowFast) {
  const test::TinyShards shards({.layers = 30,
                                 .width = 576,
                                 .rows = 4096,
                                 .features = 64,
                                 .active = 8,
                                 .shards = 2,
                                 .chunk_rows = 1024,
                                 .document_rows = 255});
  const ShardSet set(shards.folder());
  LoaderOptions options;
  options.batch_tokens = 512;
  options.window_blocks = 2;
  options.held_out_share = 0.0;
  const RowSplit split = split_rows(set, 0.0, 0);
  Loader loader(set, split.training, options, 0, 1);
  using Clock = std::chrono::steady_clock;
  const double row_bytes = double(set.fields().all_row_bytes());
  for (int epoch = 0; epoch < 2; ++epoch) {
    const auto start = Clock::now();
    for (int64_t step = 0; step < loader.steps_per_epoch(); ++step) {
      loader.next();
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    std::printf("epoch %d (%s): %.0f rows/s, %.2f GB/s, %.1f KB a row\n", epoch,
                epoch == 0 ? "checksums verified" : "verified before", 4096 / seconds,
                4096 * row_bytes / seconds / 1e9, row_bytes / 1e3);
  }
  // The thread may have begun the third epoch's first window (2 of 4 blocks).
  const double read = double(loader.bytes_read()) / (4096 * row_bytes);
  std::printf("bytes read: %.3f of the cache in two epochs\n", read);
  EXPECT_GE(read, 2.0);
  EXPECT_LE(read, 2.5);
}

}  // namespace
}  // namespace crossloom::data
