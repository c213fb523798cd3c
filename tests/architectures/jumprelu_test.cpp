// JumpReLU: worked values of its forward and surrogate backward, the estimate it stands for, and
// the variants of other trainers.
#include "architectures/jumprelu.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/rng.h"
#include "tests/architectures/staged_step.h"

namespace crossloom::architectures::test {
namespace {

struct OneLayer {
  JumpRelu activation;
  KeepingSink sink;

  OneLayer(const JumpReluOptions& options, int64_t features)
      : activation(options, {.layers = 1, .width = 1, .features = features}, at::kDouble),
        sink(activation.parameters()) {}

  /// Gradient of every entry of h [T, F] for an upstream gradient of 1; of t in sink.gradients[0].
  at::Tensor backward(const at::Tensor& h) {
    const LayerCodes codes = activation.propose(0, h, 0, Watch::kGradients);
    LayerCodes gradients = codes;
    gradients.value = activation.backward(0, codes, at::ones_like(codes.value), {}, sink);
    return dense(gradients, h.size(1));
  }
};

const at::Tensor& worked_input() {
  static const at::Tensor h = at::tensor({0.4, 0.5, 0.65, -1.0}, at::kDouble).unsqueeze(1);
  return h;  // four tokens of one feature
}

JumpReluOptions worked_options() {
  JumpReluOptions options;
  options.threshold = 0.5;
  options.bandwidth = 0.4;
  return options;
}

TEST(JumpRelu, WorkedForward) {
  OneLayer layer(worked_options(), 1);
  const LayerCodes codes = layer.activation.propose(0, worked_input(), 0, Watch::kNothing);
  EXPECT_EQ(codes.count(), 1);  // strict at 0.5
  EXPECT_EQ(codes.value.item<double>(), 0.65);
  EXPECT_TRUE(at::equal(codes.offsets, at::tensor({0, 0, 0, 1, 1}, at::kLong)));
}

TEST(JumpRelu, WorkedBackward) {
  OneLayer layer(worked_options(), 1);
  const at::Tensor h_grad = layer.backward(worked_input());
  EXPECT_TRUE(at::equal(h_grad.view(-1), at::tensor({0.0, 0.0, 1.0, 0.0}, at::kDouble)));
  EXPECT_NEAR(layer.sink.gradients[0].item<double>(), -1.875, 1e-12);  // −(0.5/0.4)·3·0.5
}

TEST(JumpRelu, WorkedBackwardWithThePreActivationInItsPlace) {
  auto options = worked_options();
  options.threshold_gradient = "pre";
  OneLayer layer(options, 1);
  layer.backward(worked_input());
  EXPECT_NEAR(layer.sink.gradients[0].item<double>(), -3.875 * 0.5, 1e-12);
}

TEST(JumpRelu, InputGradientVariants) {
  const at::Tensor h = at::tensor({-2.0, 0.0, 0.2, 3.0}, at::kDouble).unsqueeze(0);
  for (const auto& [variant, expected] :
       {std::pair<const char*, std::vector<double>>{"masked", {0, 0, 0, 1}},
        {"positive", {0, 1, 1, 1}},
        {"all", {1, 1, 1, 1}}}) {
    auto options = worked_options();
    options.input_gradient = variant;
    OneLayer layer(options, 4);
    EXPECT_TRUE(at::equal(layer.backward(h), at::tensor(expected, at::kDouble).unsqueeze(0)))
        << variant;
  }
}

TEST(JumpRelu, TheSurrogateEstimatesTheTrueDerivativeOfTheMean) {
  constexpr int64_t kSamples = 400'000;
  constexpr double kTheta = 0.5;
  at::Tensor h = at::empty({kSamples, 1}, at::kDouble);
  const Rng rng(1, Purpose::kTest);
  for (int64_t i = 0; i < kSamples; ++i) {
    h.mutable_data_ptr<double>()[i] = static_cast<double>(rng.normal(static_cast<uint64_t>(i)));
  }
  JumpReluOptions options;
  options.threshold = kTheta;
  options.bandwidth = 0.2;
  OneLayer layer(options, 1);
  layer.backward(h);
  const double estimate = layer.sink.gradients[0].item<double>() / kTheta / kSamples;
  // ∂E[a]/∂θ = −θ φ(θ) = −0.1760; the band holds N ≈ 0.07 · 400,000 samples, so the estimate's
  // standard deviation is (θ/ε) √(0.07/400,000) = 0.001.
  const double truth = -kTheta * std::exp(-kTheta * kTheta / 2.0) / std::sqrt(2.0 * M_PI);
  EXPECT_NEAR(estimate, truth, 0.004);
}

TEST(JumpRelu, IsReluOfTheExcessPlusTheStep) {
  const at::Tensor h = random_tensor({50, 7}, at::kDouble, 3, 2.0);
  OneLayer layer(worked_options(), 7);
  const at::Tensor a = dense(layer.activation.propose(0, h, 0, Watch::kGradients), 7);
  EXPECT_LE(distance(a, at::relu(h - 0.5) + 0.5 * h.gt(0.5).to(at::kDouble)), 1e-15);
}

}  // namespace
}  // namespace crossloom::architectures::test
