// The frozen linearisation: equal to the model at the clean point, exactly affine around it.
#include "models/frozen.h"

#include <gtest/gtest.h>

#include "tests/support/tiny_model.h"

namespace crossloom::models {
namespace {

constexpr double kRounding = 1e-11;

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

class Frozen : public ::testing::TestWithParam<HookPoint> {
 protected:
  Transformer model_ = test::make_tiny_model({.biases = true}, at::kDouble);
  at::Tensor tokens_ = test::random_tokens(11, 61, 4);
  FrozenRun run_ = record_frozen_run(model_, tokens_, GetParam());

  /// The run's embedding and MLP outputs moved by `step` along a fixed random direction.
  FrozenOutputs moved(double step) const {
    const Rng rng(9, Purpose::kTest);
    const auto move = [&](const at::Tensor& x, uint64_t key) {
      return x + step * test::random_tensor(rng.with(key), x.sizes(), 1.0);
    };
    std::vector<at::Tensor> outputs;
    for (size_t l = 0; l < run_.mlp_out.size(); ++l) {
      outputs.push_back(move(run_.mlp_out[l], l + 1));
    }
    return frozen_forward(model_, run_, move(run_.embedding, 0), outputs);
  }
};

TEST_P(Frozen, EqualsTheModelAtTheCleanPoint) {
  const auto outputs = frozen_forward(model_, run_, run_.embedding, run_.mlp_out);
  const at::Tensor logits = model_.forward(tokens_);
  EXPECT_LE(largest_difference(outputs.logits, logits[logits.size(0) - 1]), kRounding);
  for (size_t l = 0; l < run_.feature_input.size(); ++l) {
    EXPECT_LE(largest_difference(outputs.feature_input[l], run_.feature_input[l]), kRounding);
  }
}

TEST_P(Frozen, IsAffine) {
  const auto at_0 = moved(0.0);
  const auto at_1 = moved(1.0);
  const auto at_3 = moved(3.0);
  EXPECT_GT(largest_difference(at_0.logits, at_1.logits), 1e-3);
  EXPECT_LE(largest_difference(at_3.logits - at_0.logits, 3.0 * (at_1.logits - at_0.logits)),
            1e3 * kRounding);
  for (size_t l = 1; l < run_.feature_input.size(); ++l) {
    EXPECT_LE(largest_difference(at_3.feature_input[l] - at_0.feature_input[l],
                                 3.0 * (at_1.feature_input[l] - at_0.feature_input[l])),
              1e3 * kRounding);
  }
}

INSTANTIATE_TEST_SUITE_P(Inputs, Frozen,
                         ::testing::Values(HookPoint::kResidMid, HookPoint::kMlpNormalized,
                                           HookPoint::kMlpIn));

TEST(FrozenRun, OtherHooksAreRefused) {
  const Transformer model = test::make_tiny_model({}, at::kDouble);
  EXPECT_THROW(record_frozen_run(model, test::random_tokens(3, 61, 1), HookPoint::kAttnOut),
               ConfigError);
}

}  // namespace
}  // namespace crossloom::models
