// Damaged and foreign shards: each is refused with an error that names the file and the thing.
#include <gtest/gtest.h>

#include <fstream>
#include <span>
#include <vector>

#include "data/shard_reader.h"
#include "data/shard_writer.h"
#include "tests/support/expect_error.h"
#include "tests/support/tiny_shards.h"

namespace crossloom::data {
namespace {

using test::expect_error;

/// Reads everything there is in a shard; a hash of it.
uint64_t read_all(const std::string& path) {
  const ShardReader reader(path);
  std::vector<uint64_t> hashes = {reader.digest()};
  for (const auto* side : {&reader.statistics().inputs, &reader.statistics().targets}) {
    hashes.push_back(xxh3(std::as_bytes(std::span(side->mean_norm))));
    hashes.push_back(xxh3(std::as_bytes(std::span(side->m2))));
  }
  for (int64_t field = 0; field < reader.fields().count(); ++field) {
    std::vector<std::byte> chunk(
        size_t(reader.header().chunk_rows * reader.fields().row_bytes(field)));
    for (int64_t i = 0; i < reader.header().chunk_count(); ++i) {
      reader.read_chunk(field, i, chunk);
      hashes.push_back(xxh3(chunk));
    }
  }
  return xxh3(std::as_bytes(std::span(hashes)));
}

std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), std::streamsize(bytes.size()));
}

hdf5::Id open_for_change(const std::string& path) {
  return hdf5::Id(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
}

void delete_attribute(const std::string& path, const char* name) {
  const auto file = open_for_change(path);
  ASSERT_GE(H5Adelete(file.get(), name), 0);
}

template <typename T>
void replace_attribute(const std::string& path, const char* name, const T& value) {
  const auto file = open_for_change(path);
  ASSERT_GE(H5Adelete(file.get(), name), 0);
  hdf5::write_attribute(file, name, value, path);
}

class ShardDamage : public ::testing::Test {
 protected:
  test::TinyShards shards_;
  std::string path_ = shards_.shard_path(0);
};

TEST_F(ShardDamage, AWholeShardReads) {
  EXPECT_NO_THROW(read_all(path_));
}

TEST_F(ShardDamage, MissingFile) {
  expect_error<DataError>([] { ShardReader("/nowhere/shard_00000.h5"); },
                          {"cannot be read", "/nowhere/shard_00000.h5"});
}

TEST_F(ShardDamage, NotHdf5) {
  write_bytes(path_, "this is no shard");
  expect_error<DataError>([&] { ShardReader{path_}; }, {"not an HDF5 file", path_});
  write_bytes(path_, "");
  expect_error<DataError>([&] { ShardReader{path_}; }, {"not an HDF5 file", path_});
}

TEST_F(ShardDamage, TruncatedAtAnyLength) {
  const std::string whole = read_bytes(path_);
  for (size_t length = 0; length < whole.size(); length += whole.size() / 37 + 1) {
    write_bytes(path_, whole.substr(0, length));
    expect_error<DataError>([&] { read_all(path_); }, {path_});
  }
  write_bytes(path_, whole.substr(0, whole.size() - 1));
  expect_error<DataError>([&] { read_all(path_); }, {path_, "truncated file"});
}

TEST_F(ShardDamage, TruncatedAfterItWasOpened) {
  const ShardReader reader(path_);
  std::filesystem::resize_file(path_, 4096);
  std::vector<std::byte> chunk(16 * 32);
  expect_error<DataError>([&] { reader.read_chunk(5, 7, chunk); },
                          {"cut off", path_, "/layer_2/targets", "chunk 7"});
}

TEST_F(ShardDamage, FlippedByteInAChunk) {
  // Find the first row of layer 1's inputs in the file and flip one bit of it.
  const auto row = shards_.all_rows().x[1][0].contiguous();
  const std::string pattern(static_cast<const char*>(row.const_data_ptr()), row.nbytes());
  std::string bytes = read_bytes(path_);
  const size_t place = bytes.find(pattern);
  ASSERT_NE(place, std::string::npos);
  bytes[place + 5] = char(bytes[place + 5] ^ 0x10);
  write_bytes(path_, bytes);
  expect_error<DataError>([&] { read_all(path_); },
                          {"checksum is wrong", path_, "/layer_1/inputs", "chunk 0"});
}

/// No single flipped byte is trained on: reading fails with DataError, or the manifest's digest
/// differs, or everything read is what was written (a byte without meaning: HDF5's free space).
TEST_F(ShardDamage, NoFlippedByteIsTrainedOn) {
  const std::string whole = read_bytes(path_);
  const uint64_t digest = ShardReader(path_).digest();
  const uint64_t content = read_all(path_);
  int refused = 0;
  int tried = 0;
  for (size_t place = 0; place < whole.size(); place += 97) {
    std::string bytes = whole;
    bytes[place] = char(bytes[place] ^ 0x5a);
    write_bytes(path_, bytes);
    ++tried;
    try {
      const uint64_t found = read_all(path_);
      if (ShardReader(path_).digest() != digest) {
        ++refused;  // a set refuses it: the manifest names another digest
      } else {
        EXPECT_EQ(found, content) << "byte " << place;
      }
    } catch (const DataError&) {
      ++refused;
    }
  }
  std::printf("%d of %d flipped bytes refused, the others without a meaning\n", refused, tried);
  EXPECT_GT(refused, tried / 3);
}

TEST_F(ShardDamage, MissingComplete) {
  delete_attribute(path_, "complete");
  expect_error<DataError>([&] { ShardReader{path_}; }, {"never finished", path_});
}

TEST_F(ShardDamage, CompleteIsZero) {
  replace_attribute(path_, "complete", uint8_t{0});
  expect_error<DataError>([&] { ShardReader{path_}; }, {"never finished", path_});
}

TEST_F(ShardDamage, OtherFormat) {
  replace_attribute(path_, "format", std::string("something"));
  expect_error<DataError>([&] { ShardReader{path_}; }, {"not a shard", "something", path_});
}

TEST_F(ShardDamage, OtherVersion) {
  replace_attribute(path_, "version", int64_t{2});
  expect_error<DataError>([&] { ShardReader{path_}; }, {"version 1", "version 2", path_});
}

TEST_F(ShardDamage, OtherElementType) {
  replace_attribute(path_, "dtype", std::string("float16"));
  expect_error<DataError>([&] { ShardReader{path_}; }, {"bfloat16", "float16", path_});
}

TEST_F(ShardDamage, WrongWidth) {
  replace_attribute(path_, "d_in", int64_t{17});
  expect_error<DataError>([&] { ShardReader{path_}; },
                          {"[128, 17]", "[128, 16]", "/layer_0/inputs"});
}

TEST_F(ShardDamage, TooManyLayers) {
  replace_attribute(path_, "n_layers", int64_t{4});
  expect_error<DataError>([&] { ShardReader{path_}; }, {path_, "/layer_3/inputs"});
}

TEST_F(ShardDamage, WrongRowCount) {
  replace_attribute(path_, "rows", int64_t{127});
  expect_error<DataError>([&] { ShardReader{path_}; }, {"[127, 16]", "[128, 16]"});
  replace_attribute(path_, "rows", int64_t{1} << 40);
  expect_error<DataError>([&] { ShardReader{path_}; }, {"shorter than its rows", path_});
}

TEST_F(ShardDamage, ImpossibleNumbers) {
  replace_attribute(path_, "d_out", int64_t{-5});
  expect_error<DataError>([&] { ShardReader{path_}; }, {"'d_out' is out of range", "-5"});
}

TEST_F(ShardDamage, AttributeOfAnotherKind) {
  replace_attribute(path_, "hook_in", int64_t{3});
  expect_error<DataError>([&] { ShardReader{path_}; }, {"'hook_in' is of the wrong kind", path_});
}

TEST_F(ShardDamage, Uint16InsteadOfBfloat16) {
  {
    const auto file = open_for_change(path_);
    ASSERT_GE(H5Ldelete(file.get(), "/layer_0/inputs", H5P_DEFAULT), 0);
    const hsize_t shape[] = {128, 16};
    const hsize_t chunk[] = {16, 16};
    const hdf5::Id space(H5Screate_simple(2, shape, nullptr));
    const hdf5::Id properties(H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_chunk(properties.get(), 2, chunk);
    const hdf5::Id dataset(H5Dcreate2(file.get(), "/layer_0/inputs", H5T_STD_U16LE, space.get(),
                                      H5P_DEFAULT, properties.get(), H5P_DEFAULT));
    ASSERT_TRUE(dataset);
  }
  expect_error<DataError>([&] { ShardReader{path_}; },
                          {"another element type", "bfloat16", "/layer_0/inputs"});
}

TEST_F(ShardDamage, DamagedStatistics) {
  {
    const auto file = open_for_change(path_);
    const auto dataset = hdf5::open_dataset(file, "/norm/inputs/mean_norm", path_);
    const double values[] = {1.0, 2.0, 3.0};
    H5Dwrite(dataset.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  }
  expect_error<DataError>([&] { ShardReader{path_}; }, {"statistics are damaged", "/norm/inputs"});
}

}  // namespace
}  // namespace crossloom::data
