#include "data/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/support/expect_error.h"

namespace crossloom::data {
namespace {

/// Blocks of 16 rows over `rows` rows.
std::vector<Block> blocks_of(int64_t rows) {
  std::vector<Block> blocks;
  for (int64_t first = 0; first < rows; first += 16) {
    blocks.push_back({0, first / 16, first, std::min<int64_t>(16, rows - first)});
  }
  return blocks;
}

RowSelection all_rows(int64_t rows) {
  RowSelection selection;
  selection.append(0, rows);
  return selection;
}

/// Training rows with holes, one of which swallows a whole block.
RowSelection with_holes() {
  RowSelection selection;
  selection.append(0, 37);
  selection.append(50, 61);
  selection.append(100, 250);
  return selection;
}

TEST(Sampler, AnEpochVisitsEachTrainingRowAtMostOnce) {
  for (const int64_t window : {1, 2, 3, 16, 99}) {
    for (const int64_t batch : {1, 7, 64}) {
      Sampler sampler(blocks_of(250), with_holes(),
                      {.seed = 3, .batch_rows = batch, .window_blocks = window});
      std::set<int64_t> seen;
      for (int64_t step = 0; step < sampler.steps_per_epoch(); ++step) {
        const auto rows = sampler.rows(step);
        ASSERT_EQ(int64_t(rows.size()), batch);
        for (const int64_t row : rows) {
          EXPECT_TRUE(with_holes().contains(row)) << row << " is held out";
          EXPECT_TRUE(seen.insert(row).second) << row << " came twice";
        }
      }
      EXPECT_EQ(int64_t(seen.size()), 198 / batch * batch) << "the remainder alone is left out";
    }
  }
}

TEST(Sampler, IsAPureFunctionOfSeedAndStep) {
  const SamplerOptions options{.seed = 3, .batch_rows = 20, .window_blocks = 4};
  Sampler a(blocks_of(250), with_holes(), options);
  Sampler b(blocks_of(250), with_holes(), options);
  const int64_t steps = a.steps_per_epoch() * 3;
  std::vector<std::vector<int64_t>> forward;
  for (int64_t step = 0; step < steps; ++step) {
    forward.push_back(a.rows(step));
  }
  for (int64_t step = steps - 1; step >= 0; --step) {  // any order, as on resume
    EXPECT_EQ(b.rows(step), forward[size_t(step)]);
  }
  EXPECT_NE(forward[0], forward[size_t(a.steps_per_epoch())]) << "epochs differ";
  Sampler other(blocks_of(250), with_holes(), {.seed = 4, .batch_rows = 20, .window_blocks = 4});
  EXPECT_NE(other.rows(0), forward[0]) << "seeds differ";
  EXPECT_NE(other.batch_hash(0), a.batch_hash(0));
  EXPECT_EQ(b.batch_hash(5), a.batch_hash(5));
}

TEST(Sampler, SlicesJoinToTheSameBatchForAnyRankCount) {
  Sampler sampler(blocks_of(1000), all_rows(1000), {.seed = 1, .batch_rows = 50});
  for (int64_t step = 0; step < 25; ++step) {
    const auto whole = sampler.rows(step);
    for (const int64_t ranks : {1, 2, 3, 4, 50}) {
      std::vector<int64_t> joined;
      for (int64_t rank = 0; rank < ranks; ++rank) {
        const auto slice = batch_slice(50, rank, ranks);
        for (const auto& part : sampler.rows(step, slice.begin, slice.end)) {
          joined.insert(joined.end(), part.rows.begin(), part.rows.end());
        }
      }
      EXPECT_EQ(joined, whole) << ranks << " ranks";
    }
  }
}

TEST(Sampler, RowsLieInTheirWindowsBlocks) {
  const auto blocks = blocks_of(250);
  Sampler sampler(blocks, with_holes(), {.seed = 9, .batch_rows = 33, .window_blocks = 3});
  int64_t last_window = 0;
  for (int64_t step = 0; step < sampler.steps_per_epoch(); ++step) {
    for (const auto& part : sampler.rows(step, 0, 33)) {
      EXPECT_GE(part.window, last_window) << "windows come in order, each is read once";
      last_window = part.window;
      const auto held = sampler.window_blocks(part.epoch, part.window);
      for (const int64_t row : part.rows) {
        EXPECT_NE(std::find(held.begin(), held.end(), row / 16), held.end());
      }
    }
  }
}

/// Rows of one block must not stay together: within a window neighbours come from everywhere.
TEST(Sampler, Mixes) {
  Sampler sampler(blocks_of(16384), all_rows(16384),
                  {.seed = 2, .batch_rows = 256, .window_blocks = 64});
  const auto rows = sampler.rows(3);
  std::set<int64_t> blocks;
  int64_t neighbours = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    blocks.insert(rows[i] / 16);
    neighbours += i > 0 && std::abs(rows[i] - rows[i - 1]) == 1 ? 1 : 0;
  }
  EXPECT_GT(blocks.size(), 55u);  // 256 draws from 64 blocks leave ≈ 1 untouched
  EXPECT_LT(neighbours, 10);      // ≈ 0.5 expected
}

TEST(Sampler, RefusesWhatCannotBe) {
  test::expect_error<ConfigError>(
      [] { Sampler(blocks_of(32), all_rows(32), {.seed = 0, .batch_rows = 33}); },
      {"fewer training rows", "33", "32"});
  test::expect_error<ConfigError>([] { Sampler(blocks_of(32), all_rows(32), {.batch_rows = 0}); },
                                  {"empty"});
}

}  // namespace
}  // namespace crossloom::data
