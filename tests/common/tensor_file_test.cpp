// Round trips; malformed files are in tests/bad_inputs (tests/models/bad_inputs_test.cpp).
#include "common/tensor_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "common/mapped_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"

namespace crossloom {
namespace {

std::vector<std::byte> counting_bytes(size_t size_bytes, uint8_t first) {
  std::vector<std::byte> bytes(size_bytes);
  for (size_t i = 0; i < size_bytes; ++i) {
    bytes[i] = static_cast<std::byte>(first + i * 7);
  }
  return bytes;
}

TEST(TensorFile, EveryElementTypeSurvivesTheRoundTrip) {
  const test::TempFolder folder;
  std::vector<std::vector<std::byte>> storage;
  std::vector<TensorToWrite> tensors;
  for (const DTypeInfo& info : kDTypes) {
    const auto size_bytes = size_t(6 * info.size_bytes);
    storage.push_back(counting_bytes(size_bytes, uint8_t(storage.size())));
    tensors.push_back({info.name, info.type, {2, 3}, storage.back()});
  }
  const std::string path = folder.file("all.safetensors");
  write_tensor_file(path, tensors, {{"format", "pt"}, {"π", "\"quoted\"\n"}});

  const TensorFile file(path);
  EXPECT_EQ(file.source(), path);
  EXPECT_EQ(file.metadata().at("π"), "\"quoted\"\n");
  ASSERT_EQ(file.tensors().size(), std::size(kDTypes));
  for (const TensorToWrite& tensor : tensors) {
    const TensorEntry& entry = file.at(tensor.name);
    EXPECT_EQ(entry.dtype, tensor.dtype);
    EXPECT_EQ(entry.shape, tensor.shape);
    EXPECT_EQ(entry.element_count(), 6);
    ASSERT_EQ(entry.bytes.size(), tensor.bytes.size());
    EXPECT_EQ(std::memcmp(entry.bytes.data(), tensor.bytes.data(), entry.bytes.size()), 0);
  }
}

TEST(TensorFile, ScalarsAndEmptyTensors) {
  const test::TempFolder folder;
  const auto four = counting_bytes(4, 1);
  const std::string path = folder.file("a.safetensors");
  write_tensor_file(path,
                    {{"empty", DType::kF32, {0, 5}, {}},
                     {"scalar", DType::kF32, {}, four},
                     {"end", DType::kF64, {3, 0}, {}}},
                    {});
  const TensorFile file(path);
  EXPECT_EQ(file.at("empty").element_count(), 0);
  EXPECT_EQ(file.at("scalar").element_count(), 1);
  EXPECT_TRUE(file.at("scalar").shape.empty());
  EXPECT_TRUE(file.metadata().empty());
}

TEST(TensorFile, NoTensorsAtAll) {
  const test::TempFolder folder;
  const std::string path = folder.file("a.safetensors");
  write_tensor_file(path, {}, {});
  EXPECT_TRUE(TensorFile(path).tensors().empty());
}

TEST(TensorFile, DataBeginsAligned) {
  const test::TempFolder folder;
  const auto bytes = counting_bytes(8, 1);
  for (const std::string& name : {std::string("a"), std::string(37, 'b')}) {
    const std::string path = folder.file("a.safetensors");
    write_tensor_file(path, {{name, DType::kF64, {1}, bytes}}, {});
    const TensorFile file(path);
    const auto* begin = file.mapping()->bytes().data();
    EXPECT_EQ((file.at(name).bytes.data() - begin) % 64, 0);
  }
}

TEST(TensorFile, ViewsOutliveTheFileWhileTheMappingIsKept) {
  const test::TempFolder folder;
  const auto bytes = counting_bytes(4, 9);
  const std::string path = folder.file("a.safetensors");
  write_tensor_file(path, {{"x", DType::kU8, {4}, bytes}}, {});
  std::shared_ptr<const MappedFile> mapping;
  std::span<const std::byte> view;
  {
    const TensorFile file(path);
    mapping = file.mapping();
    view = file.at("x").bytes;
  }
  EXPECT_EQ(std::memcmp(view.data(), bytes.data(), 4), 0);
}

TEST(TensorFile, AMissingTensorNamesTheNearest) {
  const test::TempFolder folder;
  const auto bytes = counting_bytes(4, 9);
  const std::string path = folder.file("a.safetensors");
  write_tensor_file(path, {{"model.norm.weight", DType::kF32, {1}, bytes}}, {});
  const TensorFile file(path);
  EXPECT_TRUE(file.contains("model.norm.weight"));
  EXPECT_FALSE(file.contains("norm"));
  EXPECT_ERROR(DataError, "the nearest is 'model.norm.weight'", file.at("model.norm.wieght"));
}

TEST(TensorFile, WritingChecksNamesAndSizes) {
  const test::TempFolder folder;
  const auto bytes = counting_bytes(4, 9);
  const std::string path = folder.file("a.safetensors");
  EXPECT_ERROR(
      InternalError, "is written twice",
      write_tensor_file(path, {{"x", DType::kU8, {4}, bytes}, {"x", DType::kU8, {4}, bytes}}, {}));
  EXPECT_ERROR(InternalError, "has 4 bytes for shape [5]",
               write_tensor_file(path, {{"x", DType::kU8, {5}, bytes}}, {}));
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace crossloom
