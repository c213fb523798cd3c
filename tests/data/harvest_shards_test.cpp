// Harvest's model-free part, with bytes for tokens: the cache is the same for any rank count, goes
// on after an interruption, and refuses what does not belong.
#include "data/harvest_shards.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <fstream>

#include "data/harvest_plan.h"
#include "data/window_buffer.h"
#include "tests/support/byte_model.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"

namespace crossloom::data {
namespace {

using test::expect_error;

class HarvestShards : public ::testing::Test {
 protected:
  HarvestShards() {
    for (int i = 0; i < 30; ++i) {
      std::string text;
      for (int j = 0; j < 10 + 41 * i % 90; ++j) {
        text += char('a' + (i * 7 + j * j) % 26);
      }
      std::ofstream(texts_.file(std::to_string(i) + ".txt")) << text << (i % 4 == 0 ? "#xyz" : "");
    }
  }
  TextSource text() const { return TextSource({texts_.path()}, 0, 1); }

  void run(const HarvestJob& job, int ranks) const {
    const TextSource source = text();
    run_ranks_as_threads(ranks, [&](Communicator& comm) {
      harvest_shards(job, source, test::byte_encoder(), test::byte_forward(2), comm);
    });
  }

  test::TempFolder texts_;
  test::TempFolder out_;
};

Batch all_of(const ShardSet& set) {
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < set.rows(); ++row) {
    rows.push_back(row);
  }
  return read_rows(set, rows);
}

void expect_same(const Batch& a, const Batch& b) {
  for (size_t layer = 0; layer < a.x.size(); ++layer) {
    EXPECT_TRUE(at::equal(a.x[layer], b.x[layer]));
    EXPECT_TRUE(at::equal(a.y[layer], b.y[layer]));
  }
  EXPECT_TRUE(at::equal(a.tokens, b.tokens));
  EXPECT_TRUE(at::equal(a.documents, b.documents));
  EXPECT_TRUE(at::equal(a.positions, b.positions));
}

/// Row by row against the definition: tokenise, cut, run the model, drop position 0.
TEST_F(HarvestShards, StoresWhatTheModelDoes) {
  run(test::byte_job(out_.path()), 1);
  const ShardSet set(out_.path());
  ASSERT_EQ(set.rows(), 700);
  const Batch all = all_of(set);
  const auto encoder = test::byte_encoder();
  const TextSource source = text();
  int64_t row = 0;
  for (int64_t document = 0; row < 700; ++document) {
    const auto ids = encoder.encode(source.text(document));
    for (const auto& window : cut_windows(ids, document, 16, encoder)) {
      const auto input =
          encoder.add_bos({ids.begin() + window.begin, ids.begin() + window.begin + window.length});
      const auto expected = test::byte_forward(2)(input);
      for (size_t s = 1; s < input.size() && row < 700; ++s, ++row) {
        EXPECT_TRUE(at::equal(all.x[1][row].to(at::kFloat), expected.x[1][int64_t(s)]));
        EXPECT_TRUE(at::equal(all.y[0][row].to(at::kFloat), expected.y[0][int64_t(s)]));
        EXPECT_EQ(all.tokens[row].item<int>(), input[s]);
        EXPECT_EQ(all.documents[row].item<int64_t>(), document);
        EXPECT_EQ(all.positions[row].item<int>(), int64_t(s));
      }
    }
  }
  EXPECT_LT(all.x[0].abs().max().item<float>(), 1000.0F) << "position 0 is stored nowhere";
  EXPECT_GT(all.positions.min().item<int>(), 0);
}

TEST_F(HarvestShards, IsTheSameForAnyRankCount) {
  run(test::byte_job(out_.file("r1")), 1);
  const ShardSet one(out_.file("r1"));
  const Batch expected = all_of(one);
  for (const int ranks : {2, 3, 4}) {
    const std::string folder = out_.file("r" + std::to_string(ranks));
    run(test::byte_job(folder), ranks);
    const ShardSet set(folder);
    expect_same(all_of(set), expected);
    ASSERT_EQ(set.blocks().size(), one.blocks().size());
    for (size_t block = 0; block < set.blocks().size(); ++block) {
      EXPECT_EQ(set.blocks()[block].first_row, one.blocks()[block].first_row);
      EXPECT_EQ(set.blocks()[block].rows, one.blocks()[block].rows);
    }
    for (size_t layer = 0; layer < 2; ++layer) {
      EXPECT_NEAR(set.statistics().inputs.mean_norm[layer],
                  one.statistics().inputs.mean_norm[layer], 1e-9);
    }
  }
}

TEST_F(HarvestShards, MoreRanksThanChunks) {
  HarvestJob job = test::byte_job(out_.path());
  job.max_tokens = 40;  // two chunks
  run(job, 4);
  const ShardSet set(out_.path());
  EXPECT_EQ(set.rows(), 40);
  EXPECT_EQ(set.manifest().shards.size(), 2u);
}

TEST_F(HarvestShards, AgainIsANoOp) {
  run(test::byte_job(out_.path()), 2);
  const auto before = std::filesystem::last_write_time(out_.file("shard_00000.h5"));
  const TextSource source = text();
  std::atomic<int> calls = 0;
  run_ranks_as_threads(3, [&](Communicator& comm) {
    const auto manifest = harvest_shards(
        test::byte_job(out_.path()), source, test::byte_encoder(),
        [&](const auto& ids) {
          ++calls;
          return test::byte_forward(2)(ids);
        },
        comm);
    EXPECT_TRUE(manifest.complete);
  });
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(std::filesystem::last_write_time(out_.file("shard_00000.h5")), before);
}

TEST_F(HarvestShards, AnotherRequestIsRefusedByName) {
  run(test::byte_job(out_.path()), 1);
  HarvestJob other = test::byte_job(out_.path());
  other.request["hook_in"] = "hook_resid_mid";
  expect_error<ConfigError>([&] { run(other, 1); },
                            {"another harvest", "hook_in", "hook_resid_mid", out_.path()});
  EXPECT_NO_THROW(ShardSet{out_.path()});
}

TEST_F(HarvestShards, ShardsWithoutAManifestAreNotTouched) {
  std::ofstream(out_.file("shard_00000.h5")) << "precious";
  expect_error<DataError>([&] { run(test::byte_job(out_.path()), 1); },
                          {"without a manifest", "shard_00000.h5"});
  std::string text;
  std::getline(std::ifstream(out_.file("shard_00000.h5")), text);
  EXPECT_EQ(text, "precious");
}

TEST_F(HarvestShards, GoesOnAfterAnInterruptionWithAnyRankCount) {
  const std::string whole = out_.file("whole");
  const std::string cut = out_.file("cut");
  run(test::byte_job(whole), 2);
  const TextSource source = text();
  int left = 31;  // forward passes until the power fails
  const auto comm = make_single_communicator();
  const auto failing = [&](const std::vector<TokenId>& ids) {
    if (--left < 0) {
      throw std::runtime_error("power failure");
    }
    return test::byte_forward(2)(ids);
  };
  EXPECT_THROW(harvest_shards(test::byte_job(cut), source, test::byte_encoder(), failing, *comm),
               std::runtime_error);
  std::ofstream(out_.file("cut/shard_00009.h5.tmp")) << "left by a kill";
  const auto kept = std::filesystem::last_write_time(out_.file("cut/shard_00001.h5"));
  expect_error<DataError>([&] { ShardSet{cut}; }, {"not finished"});

  run(test::byte_job(cut), 3);
  EXPECT_EQ(std::filesystem::last_write_time(out_.file("cut/shard_00001.h5")), kept);
  EXPECT_FALSE(std::filesystem::exists(out_.file("cut/shard_00009.h5.tmp")));
  const ShardSet a(whole);
  const ShardSet b(cut);
  expect_same(all_of(a), all_of(b));
}

TEST_F(HarvestShards, ALostShardOfACompleteCacheIsMadeAgain) {
  const std::string whole = out_.file("whole");
  const std::string hurt = out_.file("hurt");
  run(test::byte_job(whole), 2);
  run(test::byte_job(hurt), 2);
  const auto kept = std::filesystem::last_write_time(out_.file("hurt/shard_00002.h5"));
  std::filesystem::remove(out_.file("hurt/shard_00001.h5"));
  run(test::byte_job(hurt), 1);
  EXPECT_EQ(std::filesystem::last_write_time(out_.file("hurt/shard_00002.h5")), kept);
  const ShardSet a(whole);
  const ShardSet b(hurt);
  expect_same(all_of(a), all_of(b));
  std::filesystem::remove(out_.file("hurt/shard_00001.h5"));
  std::filesystem::copy_file(out_.file("hurt/shard_00002.h5"), out_.file("hurt/shard_00001.h5"));
  expect_error<DataError>([&] { run(test::byte_job(hurt), 1); }, {"shard_00001.h5"});
}

TEST_F(HarvestShards, AModelThatCannotRunLeavesTheFolderEmpty) {
  const TextSource source = text();
  run_ranks_as_threads(2, [&](Communicator& comm) {
    EXPECT_THROW(harvest_shards(
                     test::byte_job(out_.path()), source, test::byte_encoder(),
                     [&](const auto&) -> WindowActivations {
                       throw DataError({"no weights", {}, {}, {}, {}});
                     },
                     comm),
                 DataError);
  });
  EXPECT_TRUE(std::filesystem::is_empty(out_.path()));
}

TEST_F(HarvestShards, OneAtATime) {
  const int other = ::open(out_.path().c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::flock(other, LOCK_EX | LOCK_NB), 0);
  expect_error<DataError>([&] { run(test::byte_job(out_.path()), 1); },
                          {"Another harvest is writing", out_.path()});
  ::close(other);
  EXPECT_NO_THROW(run(test::byte_job(out_.path()), 2));
}

TEST_F(HarvestShards, RefusesTooLittleDiskAtTheStart) {
  HarvestJob job = test::byte_job(out_.path());
  job.header.identity.layers = 1'000'000'000;  // a plan of petabytes
  job.header.identity.width_in = 1'000'000;
  const TextSource source = text();
  const auto comm = make_single_communicator();
  expect_error<DataError>(
      [&] { harvest_shards(job, source, test::byte_encoder(), test::byte_forward(2), *comm); },
      {"Not enough free disk space", out_.path()});
}

TEST(HarvestPlan, ShardsTileTheRowsOnChunkBorders) {
  for (const int64_t rows : {1, 31, 32, 33, 700, 1024}) {
    for (const int64_t ranks : {1, 2, 3, 4, 7}) {
      int64_t next = 0;
      int64_t rank = 0;
      for (const auto& shard : plan_shards(rows, 32, 96, ranks)) {
        EXPECT_EQ(shard.row_offset, next);
        EXPECT_EQ(shard.row_offset % 32, 0);
        EXPECT_LE(shard.rows, 96);
        EXPECT_GE(shard.producer_rank, rank);
        rank = shard.producer_rank;
        next += shard.rows;
      }
      EXPECT_EQ(next, rows);
    }
  }
}

}  // namespace
}  // namespace crossloom::data
