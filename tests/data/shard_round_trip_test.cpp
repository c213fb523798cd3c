// What was written comes back bit for bit, through our reader and through h5py.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>

#include "data/shard_reader.h"
#include "data/shard_writer.h"
#include "data/window_buffer.h"
#include "tests/support/expect_error.h"
#include "tests/support/tiny_shards.h"

namespace crossloom::data {
namespace {

ShardHeader small_header(int64_t rows) {
  ShardHeader header;
  header.identity = synthetic_identity({.layers = 2, .width = 8});
  header.rows = rows;
  header.row_offset = 7;
  header.chunk_rows = 4;
  header.seed = 0xfedcba9876543210ULL;
  return header;
}

/// Rows whose bf16 patterns are `first_bits`, first_bits + 1, … skipping NaN and infinity.
Batch patterns(int64_t rows, uint16_t first_bits) {
  Batch batch;
  uint16_t bits = first_bits;
  const auto fill = [&bits, rows] {
    at::Tensor values = at::empty({rows, 8}, at::kBFloat16);
    auto* to = static_cast<uint16_t*>(values.mutable_data_ptr());
    for (int64_t i = 0; i < values.numel(); ++i) {
      to[i] = bits;
      do {
        ++bits;
      } while ((bits & 0x7f80U) == 0x7f80U);
    }
    return values;
  };
  for (int layer = 0; layer < 2; ++layer) {
    batch.x.push_back(fill());
    batch.y.push_back(fill());
  }
  batch.tokens = at::arange(rows, at::kInt);
  batch.documents = at::arange(rows, at::kLong) + (int64_t{1} << 40);
  batch.positions = at::arange(1, rows + 1, at::kInt);
  return batch;
}

TEST(ShardRoundTrip, BitsSurviveAppendsOfAnySize) {
  const test::TempFolder folder;
  const std::string path = folder.file("a.h5");
  const Batch rows = patterns(11, 0xbf80);  // −1.0 and what follows
  ShardWriter writer(path, small_header(11));
  for (const auto& [from, count] : {std::pair{0, 1}, {1, 6}, {7, 4}}) {
    Batch part;
    for (size_t layer = 0; layer < 2; ++layer) {
      part.x.push_back(rows.x[layer].narrow(0, from, count).contiguous());
      part.y.push_back(rows.y[layer].narrow(0, from, count).contiguous());
    }
    part.tokens = rows.tokens.narrow(0, from, count).contiguous();
    part.documents = rows.documents.narrow(0, from, count).contiguous();
    part.positions = rows.positions.narrow(0, from, count).contiguous();
    writer.append(part);
  }
  EXPECT_FALSE(std::filesystem::exists(path)) << "not before finish()";
  const uint64_t digest = writer.finish();
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));

  const ShardReader reader(path);
  EXPECT_EQ(reader.digest(), digest);
  EXPECT_EQ(reader.header().rows, 11);
  EXPECT_EQ(reader.header().row_offset, 7);
  EXPECT_EQ(reader.header().chunk_rows, 4);
  EXPECT_EQ(reader.header().seed, 0xfedcba9876543210ULL);
  require_same(small_header(11).identity, reader.header().identity, path);
  const ShardFields& fields = reader.fields();
  for (int64_t field = 0; field < fields.count(); ++field) {
    const at::Tensor& whole = field < 2                     ? rows.x[size_t(field)]
                              : field < 4                   ? rows.y[size_t(field - 2)]
                              : field == fields.tokens()    ? rows.tokens
                              : field == fields.documents() ? rows.documents
                                                            : rows.positions;
    std::vector<std::byte> bytes;
    for (int64_t chunk = 0; chunk < 3; ++chunk) {
      std::vector<std::byte> part(size_t(4 * fields.row_bytes(field)));
      reader.read_chunk(field, chunk, part);
      bytes.insert(bytes.end(), part.begin(), part.end());
    }
    const auto expected = bytes_of(whole);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), bytes.begin())) << fields.name(field);
    EXPECT_TRUE(std::all_of(bytes.begin() + int64_t(expected.size()), bytes.end(),
                            [](std::byte b) { return b == std::byte{0}; }))
        << "padding of " << fields.name(field);
  }
}

/// c000 = −2.0 and bf80 = −1.0 must keep their sign, 8001 (the smallest negative) its bits.
TEST(ShardRoundTrip, EveryFinitePatternSurvives) {
  const test::TempFolder folder;
  const Batch rows = patterns(2040, 0x0000);  // 2040·8·4 = 65,280 = all finite patterns
  ShardWriter writer(folder.file("a.h5"), small_header(2040));
  writer.append(rows);
  writer.finish();
  const ShardReader reader(folder.file("a.h5"));
  std::vector<std::byte> bytes(4 * 16);
  std::vector<bool> seen(65536, false);
  for (int64_t field = 0; field < 4; ++field) {
    for (int64_t chunk = 0; chunk < 510; ++chunk) {
      reader.read_chunk(field, chunk, bytes);
      const auto* bits = reinterpret_cast<const uint16_t*>(bytes.data());
      for (int i = 0; i < 32; ++i) {
        seen[bits[i]] = true;
      }
    }
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), true), 65280);
  for (const size_t bits : {0xbf80, 0xc000, 0x8000, 0x8001, 0xff7f}) {
    EXPECT_TRUE(seen[bits]) << fmt::format("{:04x}", bits);
  }
}

/// Infinity and NaN (ffff) are a broken forward pass: refused by name, never stored.
TEST(ShardRoundTrip, RefusesNumbersThatAreNotFinite) {
  const test::TempFolder folder;
  for (const float bad :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    Batch rows = patterns(4, 0x3f80);
    rows.y[1][2][3] = bad;
    ShardWriter writer(folder.file("a.h5"), small_header(4));
    test::expect_error<DataError>([&] { writer.append(rows); },
                                  {"targets of layer 1 are not finite", "a.h5"});
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(ShardRoundTrip, NeverOverwritesAShard) {
  const test::TempFolder folder;
  const std::string path = folder.file("a.h5");
  std::ofstream(path) << "precious";
  test::expect_error<DataError>([&] { ShardWriter(path, small_header(4)); },
                                {"already there", path});
  std::string text;
  std::getline(std::ifstream(path), text);
  EXPECT_EQ(text, "precious");
  std::filesystem::remove(path);

  ShardWriter writer(path, small_header(4));
  writer.append(patterns(4, 0x3f80));
  std::ofstream(path) << "came later";
  test::expect_error<DataError>([&] { writer.finish(); }, {"already there", path});
  std::getline(std::ifstream(path), text);
  EXPECT_EQ(text, "came later");
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST(ShardRoundTrip, AnAbandonedWriterLeavesNothing) {
  const test::TempFolder folder;
  { ShardWriter writer(folder.file("a.h5"), small_header(4)); }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(ShardRoundTrip, ChunksAreOneToTwoMebibytes) {
  ShardIdentity id;
  for (const auto& [width, rows] :
       {std::pair<int64_t, int64_t>{576, 1024}, {768, 1024}, {2048, 512}, {4096, 256}}) {
    id.width_in = width;
    id.width_out = width;
    EXPECT_EQ(default_chunk_rows(id), rows) << width;
  }
}

/// Debian's h5py sees numbers, attributes as text, and the same values as we wrote.
TEST(ShardRoundTrip, H5pyReadsTheSameNumbers) {
  if (std::system("/usr/bin/python3 -c 'import h5py' 2>/dev/null") != 0) {
    GTEST_SKIP() << "python3-h5py is not installed";
  }
  const test::TinyShards shards;
  const Batch rows = shards.all_rows();
  const auto dump = [&](const char* name, const at::Tensor& values) {
    const at::Tensor wide = values.to(at::kDouble).contiguous();
    std::ofstream(shards.folder() + "/" + name, std::ios::binary)
        .write(static_cast<const char*>(wide.const_data_ptr()), std::streamsize(wide.nbytes()));
  };
  dump("x1.f64", rows.x[1]);
  dump("y2.f64", rows.y[2]);
  dump("doc.f64", rows.documents);
  const std::string script = std::string(CROSSLOOM_TEST_FOLDER) + "/data/read_with_h5py.py";
  EXPECT_EQ(std::system(("/usr/bin/python3 " + script + " " + shards.folder()).c_str()), 0);
}

}  // namespace
}  // namespace crossloom::data
