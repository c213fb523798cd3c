// Folding the normalisation into the weights changes neither activations nor outputs, for every row
// of the registry (transcoders.md 3.2).
#include <gtest/gtest.h>

#include "architectures/registry.h"
#include "eval/trained_transcoder.h"
#include "tests/support/row_names.h"
#include "tests/support/tiny_transcoder.h"

namespace crossloom::eval {
namespace {

constexpr int64_t kLayers = 3;
constexpr int64_t kWidth = 10;
constexpr double kRounding = 1e-12;        // activations of order 10
constexpr double kOutputRounding = 1e-10;  // outputs: 14 of them times σ_out, order 1,000

struct Outputs {
  architectures::Codes codes;
  std::vector<at::Tensor> y;  // [L] of [T, D], raw
};

/// What the transcoder makes of raw inputs, in whatever space it is.
Outputs outputs_of(const TrainedTranscoder& trained, const std::vector<at::Tensor>& raw) {
  Outputs outputs;
  std::vector<at::Tensor> x, y_hat;
  for (int64_t l = 0; l < kLayers; ++l) {
    at::Tensor input = at::empty_like(raw[static_cast<size_t>(l)]);
    trained.normalizer.normalize_input(l, raw[static_cast<size_t>(l)], input);
    x.push_back(input);
    outputs.codes.push_back(trained.transcoder->filter(l, trained.transcoder->propose(l, input)));
  }
  trained.transcoder->decode(outputs.codes, x, {0, kWidth}, y_hat);
  for (int64_t l = 0; l < kLayers; ++l) {
    outputs.y.push_back(trained.normalizer.restore_target(l, y_hat[static_cast<size_t>(l)]));
  }
  return outputs;
}

class Folding : public ::testing::TestWithParam<std::string> {};

TEST_P(Folding, KeepsActivationsAndOutputs) {
  TrainedTranscoder trained{
      .folder = "",
      .transcoder = test::random_transcoder(GetParam(), {kLayers, kWidth, 14}, 4, at::kDouble),
      .normalizer = data::Normalizer({0.5, 3.0, 20.0}, {4.0, 0.25, 7.0}),
      .identity = {},
      .loader = {},
      .target_mean = {}};
  std::vector<at::Tensor> raw;
  for (uint64_t l = 0; l < kLayers; ++l) {
    raw.push_back(
        test::random_tensor(Rng(5, Purpose::kTest).with(l), {20, kWidth}, 8.0).to(at::kDouble));
  }
  const Outputs before = outputs_of(trained, raw);
  fold_normalization(trained);
  const Outputs after = outputs_of(trained, raw);
  for (size_t l = 0; l < kLayers; ++l) {
    EXPECT_TRUE(at::equal(before.codes[l].index, after.codes[l].index));
    EXPECT_GT(before.codes[l].count(), 0);
    EXPECT_LE((before.codes[l].value - after.codes[l].value).abs().max().item<double>(), kRounding);
    EXPECT_LE((before.y[l] - after.y[l]).abs().max().item<double>(), kOutputRounding);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryRow, Folding,
                         ::testing::ValuesIn(architectures::Registry::instance().names()),
                         [](const auto& row) { return test::test_name(row.param); });

}  // namespace
}  // namespace crossloom::eval
