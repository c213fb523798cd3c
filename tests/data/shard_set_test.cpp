#include "data/shard_set.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "data/shard_writer.h"
#include "data/window_buffer.h"
#include "tests/support/expect_error.h"
#include "tests/support/tiny_shards.h"

namespace crossloom::data {
namespace {

using test::expect_error;

TEST(ShardSet, IsOneIndexSpace) {
  const test::TinyShards shards({.rows = 250, .shards = 3});
  const ShardSet set(shards.folder());
  EXPECT_EQ(set.rows(), 250);
  EXPECT_EQ(set.blocks().size(), 16u);  // ⌈250/16⌉: borders lie on chunk borders
  std::vector<int64_t> all(250);
  for (int64_t row = 0; row < 250; ++row) {
    all[size_t(row)] = row;
    EXPECT_EQ(set.block_of(row), row / 16);
  }
  const Batch found = read_rows(set, all);
  const Batch expected = shards.all_rows();
  for (size_t layer = 0; layer < 3; ++layer) {
    EXPECT_TRUE(at::equal(found.x[layer], expected.x[layer]));
    EXPECT_TRUE(at::equal(found.y[layer], expected.y[layer]));
  }
  EXPECT_TRUE(at::equal(found.tokens, expected.tokens));
  EXPECT_TRUE(at::equal(found.documents, expected.documents));
  EXPECT_TRUE(at::equal(found.positions, expected.positions));
}

TEST(ShardSet, StatisticsCoverAllShards) {
  const test::TinyShards shards({.rows = 250, .shards = 3});
  auto whole = NormStatistics::empty(3, 16, 16);
  add_rows(whole, shards.all_rows(), "test");
  const ShardSet set(shards.folder());
  const auto& merged = set.statistics();
  EXPECT_EQ(merged.count, 250);
  for (size_t i = 0; i < whole.targets.m2.size(); ++i) {
    EXPECT_NEAR(merged.targets.m2[i], whole.targets.m2[i], 1e-10);
    EXPECT_NEAR(merged.inputs.mean[i], whole.inputs.mean[i], 1e-12);
  }
}

TEST(ShardSet, MissingShardIsNamed) {
  const test::TinyShards shards;
  std::filesystem::remove(shards.shard_path(1));
  expect_error<DataError>([&] { ShardSet{shards.folder()}; }, {shards.shard_path(1)});
}

TEST(ShardSet, StrangersAreIgnored) {
  const test::TinyShards shards;
  std::filesystem::copy(shards.shard_path(1), shards.folder() + "/shard_00077.h5");
  std::ofstream(shards.folder() + "/shard_00002.h5.tmp") << "half";
  EXPECT_EQ(ShardSet(shards.folder()).rows(), 256);
}

TEST(ShardSet, SwappedShardsAreRefused) {
  const test::TinyShards shards;
  std::filesystem::rename(shards.shard_path(0), shards.folder() + "/x");
  std::filesystem::rename(shards.shard_path(1), shards.shard_path(0));
  std::filesystem::rename(shards.folder() + "/x", shards.shard_path(1));
  expect_error<DataError>([&] { ShardSet{shards.folder()}; },
                          {"not the one that the manifest names", shards.shard_path(0)});
}

TEST(ShardSet, AShardOfAnotherModelIsRefused) {
  const test::TinyShards shards;
  Manifest manifest = read_manifest(shards.folder());
  ShardHeader header{.identity = synthetic_identity({.seed = 2}),
                     .rows = manifest.shards[1].rows,
                     .row_offset = manifest.shards[1].row_offset,
                     .chunk_rows = 16};
  std::filesystem::remove(shards.shard_path(1));
  ShardWriter writer(shards.shard_path(1), header);
  writer.append(synthetic_rows({.seed = 2}, header.row_offset, header.rows));
  manifest.shards[1].xxh3 = hex(writer.finish());
  write_manifest(shards.folder(), manifest);
  expect_error<DataError>([&] { ShardSet{shards.folder()}; },
                          {"another model", "seed-1", "seed-2", shards.shard_path(1)});
}

TEST(ShardSet, UnfinishedCacheIsRefused) {
  const test::TinyShards shards;
  Manifest manifest = read_manifest(shards.folder());
  manifest.complete = false;
  write_manifest(shards.folder(), manifest);
  expect_error<DataError>([&] { ShardSet{shards.folder()}; }, {"not finished", "harvest"});
  std::filesystem::remove(manifest_path(shards.folder()));
  expect_error<DataError>([&] { ShardSet{shards.folder()}; }, {"no activation cache"});
}

TEST(ShardSet, DamagedManifest) {
  const test::TinyShards shards;
  const auto change = [&](auto&& f) {
    Json json = read_json_file(manifest_path(shards.folder()), 1 << 20);
    f(json);
    write_json_file(manifest_path(shards.folder()), json);
  };
  change([](Json& json) { json["shards"][1]["row_offset"] = 5; });
  expect_error<DataError>([&] { ShardSet{shards.folder()}; },
                          {"hole or overlap", "shard_00001.h5"});
  change([](Json& json) { json["shards"][1]["name"] = "../../etc/passwd"; });
  expect_error<DataError>([&] { ShardSet{shards.folder()}; }, {"impossible"});
  change([](Json& json) { json["shards"][1].erase("name"); });
  expect_error<DataError>([&] { ShardSet{shards.folder()}; }, {"'name'"});
  change([](Json& json) { json["version"] = 9; });
  expect_error<DataError>([&] { ShardSet{shards.folder()}; }, {"version", "9"});
  std::ofstream(manifest_path(shards.folder())) << "{\"format\":";
  expect_error<DataError>([&] { ShardSet{shards.folder()}; }, {"not valid JSON"});
}

TEST(RowSplit, PartsTheRowsByDocument) {
  const test::TinyShards shards({.rows = 250, .shards = 3});
  const ShardSet set(shards.folder());
  const RowSplit split = split_rows(set, 0.2, 5);
  EXPECT_EQ(split.training.size() + split.held_out.size(), 250);
  std::set<int64_t> held_out;
  for (int64_t row = 0; row < 250; ++row) {
    EXPECT_NE(split.training.contains(row), split.held_out.contains(row));
    if (split.held_out.contains(row)) {
      held_out.insert(row / 20);
    }
  }
  EXPECT_EQ(held_out.size(), 3u);  // round(0.2 · 13)
  for (int64_t row = 0; row < 250; ++row) {
    EXPECT_EQ(split.held_out.contains(row), held_out.contains(row / 20)) << "document is whole";
  }
}

TEST(RowSplit, DependsOnTheSeedAndNotOnTheShards) {
  const test::TinyShards one({.rows = 250, .shards = 1});
  const test::TinyShards four({.rows = 250, .shards = 4});
  const ShardSet a(one.folder());
  const ShardSet b(four.folder());
  int differences = 0;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const RowSplit x = split_rows(a, 0.1, seed);
    const RowSplit y = split_rows(b, 0.1, seed);
    const RowSplit other = split_rows(a, 0.1, seed + 1);
    for (int64_t row = 0; row < 250; ++row) {
      EXPECT_EQ(x.held_out.contains(row), y.held_out.contains(row));
      differences += x.held_out.contains(row) != other.held_out.contains(row) ? 1 : 0;
    }
  }
  EXPECT_GT(differences, 0);
}

TEST(RowSplit, AtLeastOneDocumentIsHeldOut) {
  const test::TinyShards shards;
  const ShardSet set(shards.folder());
  EXPECT_EQ(split_rows(set, 1e-6, 0).held_out.size() > 0, true);
  EXPECT_EQ(split_rows(set, 0.0, 0).held_out.size(), 0);
  expect_error<ConfigError>([&] { split_rows(set, 1.0, 0); }, {"share"});
  expect_error<ConfigError>([&] { split_rows(set, 0.999, 0); }, {"too few documents"});
  const test::TinyShards single({.rows = 20});
  const ShardSet one_document(single.folder());
  expect_error<ConfigError>([&] { split_rows(one_document, 0.05, 0); },
                            {"too few documents", "1 documents"});
}

}  // namespace
}  // namespace crossloom::data
