// Every file in tests/golden/model is a case: logits and hook points of the `transformers` library
// (made by tests/golden/make_model_golden.py). A new case is a new file.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/json_file.h"
#include "common/tensor_file.h"
#include "models/generate.h"
#include "models/transformer.h"
#include "tests/support/real_model.h"
#include "tests/support/temp_folder.h"

namespace crossloom::models {
namespace {

constexpr double kLogitsFloat32 = 1e-4;        // absolute
constexpr double kHookRelativeFloat32 = 1e-5;  // of the tensor's largest value
constexpr double kHookAbsoluteFloat32 = 1e-6;
constexpr double kFloat64 = 1e-9;  // absolute, for values of order 1 … 100

/// All cases, or those whose metadata hold `key`.
std::vector<std::string> case_files(const char* key = nullptr) {
  std::vector<std::string> files;
  const std::string folder = std::string(CROSSLOOM_TEST_FOLDER) + "/golden/model";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors" &&
        (key == nullptr || TensorFile(entry.path().string()).metadata().contains(key))) {
      files.push_back(entry.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

at::Tensor tensor_of(const TensorEntry& entry) {
  return at::from_blob(const_cast<std::byte*>(entry.bytes.data()), entry.shape,
                       at::TensorOptions(scalar_type(entry.dtype)))
      .clone();
}

class GoldenModel : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    file_ = std::make_unique<TensorFile>(GetParam());
    if (file_->metadata().at("model") == "tiny") {
      write_tiny();
      folder_ = temp_.path();
    } else if (const auto real = test::real_model_folder()) {
      folder_ = *real;
    } else {
      GTEST_SKIP() << "the converted model is not there (launch/test.sh makes it)";
    }
    exact_ = file_->metadata().at("dtype") == "float64";
  }

  /// The case's weights and config as a Hugging Face folder, so that the real loader reads them.
  void write_tiny() {
    std::ofstream(temp_.file("config.json")) << file_->metadata().at("config");
    std::vector<TensorToWrite> tensors;
    for (const auto& [name, entry] : file_->tensors()) {
      if (name.rfind("weights.", 0) == 0) {
        tensors.push_back({name.substr(8), entry.dtype, entry.shape, entry.bytes});
      }
    }
    write_tensor_file(temp_.file("model.safetensors"), tensors, {});
  }

  Transformer load() const { return Transformer::load(folder_, exact_ ? at::kDouble : at::kFloat); }

  void expect_near(const std::string& name, const at::Tensor& got) const {
    const at::Tensor want = tensor_of(file_->at(name)).to(at::kDouble);
    const double difference = (got.to(at::kDouble) - want).abs().max().item<double>();
    const double largest = want.abs().max().item<double>();
    const double bound = exact_             ? kFloat64
                         : name == "logits" ? kLogitsFloat32
                                            : kHookRelativeFloat32 * largest + kHookAbsoluteFloat32;
    EXPECT_LE(difference, bound) << name << ", largest value " << largest;
  }

  test::TempFolder temp_;
  std::unique_ptr<TensorFile> file_;
  std::string folder_;
  bool exact_ = false;
};

TEST_P(GoldenModel, LogitsAndHookPoints) {
  const Transformer model = load();
  int64_t seen = 0;
  const Hooks hooks(
      {HookPoint::kResidMid, HookPoint::kMlpNormalized, HookPoint::kMlpIn, HookPoint::kMlpOut},
      [&](HookPoint point, int64_t layer, at::Tensor& value) {
        const char* name = point == HookPoint::kResidMid        ? "resid_mid"
                           : point == HookPoint::kMlpNormalized ? "ln2_normalized"
                           : point == HookPoint::kMlpIn         ? "mlp_in"
                                                                : "mlp_out";
        expect_near(fmt::format("{}.{}", name, layer), value);
        ++seen;
      });
  const at::Tensor tokens = tensor_of(file_->at("tokens"));
  expect_near("logits", model.forward(tokens, hooks));
  EXPECT_EQ(seen, 4 * model.spec().layers);
  expect_near("logits", model.forward(tokens));  // the fused path, without hooks
}

/// Cases that also record 64 greedy ids.
class GoldenContinuation : public GoldenModel {};

TEST_P(GoldenContinuation, GreedyIds) {
  const auto want =
      parse_json(file_->metadata().at("continuation"), GetParam()).get<std::vector<TokenId>>();
  const at::Tensor tokens = tensor_of(file_->at("tokens"));
  const std::vector<TokenId> prompt(tokens.const_data_ptr<int64_t>(),
                                    tokens.const_data_ptr<int64_t>() + tokens.size(0));
  SamplingOptions options;
  options.max_new_tokens = static_cast<int64_t>(want.size());
  options.stop_at_eos = false;
  EXPECT_EQ(generate(load(), prompt, options), want);
}

std::string case_name(const ::testing::TestParamInfo<std::string>& file) {
  return std::filesystem::path(file.param).stem().string();
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenModel, ::testing::ValuesIn(case_files()), case_name);
INSTANTIATE_TEST_SUITE_P(Files, GoldenContinuation, ::testing::ValuesIn(case_files("continuation")),
                         case_name);

}  // namespace
}  // namespace crossloom::models
