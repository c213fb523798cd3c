// What a row holds outlives the program that trained it, and may be stored in bfloat16: parameters
// through a file, and a step with stored halves against one with the same numbers in float32.
#include <gtest/gtest.h>

#include <cstring>

#include "common/tensor_file.h"
#include "tests/architectures/staged_step.h"
#include "tests/support/temp_folder.h"

namespace crossloom::architectures::test {
namespace {

class StoredRows : public ::testing::TestWithParam<Registry::Row> {};

void save(const Transcoder& transcoder, const std::string& path) {
  std::vector<TensorToWrite> tensors;
  for (const Parameter& parameter : transcoder.parameters()) {
    tensors.push_back({parameter.name, dtype_of(parameter.value), parameter.value.sizes().vec(),
                       bytes_of(parameter.value)});
  }
  write_tensor_file(path, tensors, {});
}

void load(const Transcoder& transcoder, const std::string& path) {
  const TensorFile file(path);
  EXPECT_EQ(file.tensors().size(), transcoder.parameters().size());
  for (const Parameter& parameter : transcoder.parameters()) {
    const TensorEntry& entry = file.at(parameter.name);
    ASSERT_EQ(entry.shape, parameter.value.sizes().vec()) << parameter.name;
    ASSERT_EQ(entry.dtype, dtype_of(parameter.value)) << parameter.name;
    std::memcpy(parameter.value.mutable_data_ptr(), entry.bytes.data(), entry.bytes.size());
  }
}

/// Codes as in use (no bar of a batch) and their reconstruction.
StepResult in_use(const Transcoder& transcoder, const std::vector<at::Tensor>& x) {
  StepResult result;
  for (size_t l = 0; l < x.size(); ++l) {
    const auto layer = static_cast<int64_t>(l);
    result.codes.push_back(transcoder.filter(layer, transcoder.propose(layer, x[l])));
  }
  transcoder.decode(result.codes, x, {0, transcoder.shape().width}, result.y_hat);
  return result;
}

void expect_same_bits(const StepResult& a, const StepResult& b) {
  for (size_t l = 0; l < a.codes.size(); ++l) {
    EXPECT_TRUE(same_bits(a.codes[l].index, b.codes[l].index));
    EXPECT_TRUE(same_bits(a.codes[l].value, b.codes[l].value));
    EXPECT_TRUE(same_bits(a.y_hat[l], b.y_hat[l]));
  }
}

TEST_P(StoredRows, LoadedOutputsAreTheSavedOnes) {
  const Sizes sizes{.tokens = 70, .layers = 3, .width = 72, .features = 150, .k = 6};
  const crossloom::test::TempFolder folder;
  for (const auto type : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const auto trained = random_transcoder(GetParam().name, sizes, type);
    const auto loaded = random_transcoder(GetParam().name, sizes, type, /*seed=*/2);
    save(*trained, folder.file("weights"));
    load(*loaded, folder.file("weights"));
    const auto x = random_rows(sizes, trained->type(), 5);
    expect_same_bits(in_use(*trained, x), in_use(*loaded, x));
  }
}

/// Large enough for the screen, where the CPU has one.
TEST_P(StoredRows, AStepWithHalvesIsThatWithTheSameNumbers) {
  const Sizes sizes{.tokens = 70, .layers = 3, .width = 72, .features = 520, .k = 6};
  const auto halves = random_transcoder(GetParam().name, sizes, at::kBFloat16);
  const auto widened = random_transcoder(GetParam().name, sizes, at::kFloat);
  for (size_t p = 0; p < widened->parameters().size(); ++p) {
    widened->parameters()[p].value.copy_(halves->parameters()[p].value);
  }
  ASSERT_EQ(find_parameter(*halves, "W_dec_1").scalar_type(), at::kBFloat16);
  const auto x = random_rows(sizes, at::kFloat, 5);
  const auto y = random_rows(sizes, at::kFloat, 6);
  const StepResult stored = staged_step(*halves, x, y, {});
  const StepResult plain = staged_step(*widened, x, y, {});
  const double rounding = has_fixed_order(GetParam(), *widened, plain.codes) ? 0.0 : 1e-6;
  EXPECT_NEAR(stored.loss, plain.loss, rounding * plain.loss);
  for (size_t l = 0; l < x.size(); ++l) {
    EXPECT_TRUE(same_bits(stored.codes[l].index, plain.codes[l].index));
  }
  for (size_t p = 0; p < plain.gradients.size(); ++p) {
    ASSERT_EQ(stored.gradients[p].scalar_type(), at::kFloat);
    const double scale = plain.gradients[p].abs().max().item<double>();
    EXPECT_LE(distance(stored.gradients[p], plain.gradients[p]), rounding * scale)
        << halves->parameters()[p].name;
  }
}

INSTANTIATE_TEST_SUITE_P(EveryRow, StoredRows, ::testing::ValuesIn(Registry::instance().rows()),
                         row_test_name);

}  // namespace
}  // namespace crossloom::architectures::test
