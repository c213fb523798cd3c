// The terms beside the reconstruction: tanh sparsity, pre-activation loss by its complement, AuxK,
// BatchTopK's bar and threshold.
#include <gtest/gtest.h>

#include <cmath>

#include "architectures/auxk.h"
#include "architectures/batch_topk.h"
#include "architectures/pre_activation_loss.h"
#include "architectures/sparsity.h"
#include "tests/architectures/staged_step.h"

namespace crossloom::architectures::test {
namespace {

LayerCodes one_entry(double value) {
  return {.offsets = at::tensor({0, 1}, at::kLong),
          .index = at::zeros({1}, at::kInt),
          .value = at::full({1}, value, at::kDouble)};
}

TEST(Tanh, WorkedValues) {
  const SparsityTerm term =
      tanh_penalty({one_entry(0.25)}, {at::full({1}, 2.0, at::kDouble)}, 1.0, 4.0, true);
  EXPECT_NEAR(term.loss, 0.96403, 1e-5);
  EXPECT_NEAR(term.value_grad[0].item<double>(), 0.56521, 1e-5);
  EXPECT_NEAR(term.norm_grad[0].item<double>(), 0.25 * 4.0 * (1 - std::pow(std::tanh(2.0), 2)) / 2,
              1e-12);
}

TEST(Tanh, ADecoderOfZerosDoesNotDivide) {
  const SparsityTerm term =
      tanh_penalty({one_entry(0.25)}, {at::zeros({1}, at::kDouble)}, 1.0, 4.0, true);
  EXPECT_EQ(term.loss, 0.0);
  EXPECT_EQ(term.value_grad[0].item<double>(), 0.0);
  EXPECT_EQ(term.norm_grad[0].item<double>(), 0.0);
}

TEST(PreActivationLoss, EqualsTheDenseSum) {
  const Sizes sizes{.tokens = 30};
  for (const char* name : {"clt-jumprelu", "plt-relu", "clt-topk"}) {
    const auto transcoder = random_transcoder(name, sizes);
    const auto x = random_rows(sizes, at::kDouble, 5);
    const Codes codes = encode(*transcoder, x);
    const at::Tensor weights = random_tensor({sizes.features}, at::kDouble, 8).abs();
    for (int64_t l = 0; l < sizes.layers; ++l) {
      const auto i = static_cast<size_t>(l);
      const at::Tensor h = transcoder->pre_activations(l, x[i]);
      const at::Tensor theta = transcoder->thresholds(l);
      const at::Tensor silent = dense(codes[i], sizes.features).eq(0.0).to(at::kDouble);
      const at::Tensor shortfall = (theta.defined() ? theta : at::zeros_like(weights)) - h;
      EXPECT_NEAR(pre_activation_loss(*transcoder, l, x[i], codes[i], weights),
                  (shortfall * silent * weights).sum().item<double>(), 1e-11)
          << name;
    }
  }
}

TEST(AuxK, TakesTheLargestOfTheDeadFeaturesOnly) {
  const Sizes sizes{.tokens = 20};
  const auto transcoder = random_transcoder("clt-topk", sizes);
  const auto x = random_rows(sizes, at::kDouble, 5);
  const at::Tensor dead = at::arange(sizes.features, at::kLong).remainder(3).eq(0);
  const LayerCodes codes = dead_feature_codes(*transcoder, 1, x[1], dead, 2);
  const at::Tensor h = transcoder->pre_activations(1, x[1]) * dead;
  const auto best = std::get<1>(at::topk(h, 2, 1));
  const at::Tensor expected = at::relu(h) * at::zeros_like(h).scatter_(1, best, 1.0);
  EXPECT_LE(distance(dense(codes, sizes.features), expected), 1e-13);
  EXPECT_GT(codes.count(), 0);
  EXPECT_EQ(dead_feature_codes(*transcoder, 1, x[1], at::zeros_like(dead), 2).count(), 0);
}

TEST(AuxK, DecodesWithoutBiasAndSkip) {
  const Sizes sizes;
  const auto transcoder = random_transcoder("plt-topk-skip", sizes);
  const auto x = random_rows(sizes, at::kDouble, 5);
  const Codes codes = encode(*transcoder, x);
  std::vector<at::Tensor> writes;
  transcoder->decode(codes, x, {0, sizes.width}, writes, Part::kFeatureWrites);
  const at::Tensor all = at::arange(sizes.features, at::kInt);
  for (int64_t l = 0; l < sizes.layers; ++l) {
    const auto i = static_cast<size_t>(l);
    const at::Tensor expected =
        at::mm(dense(codes[i], sizes.features), transcoder->written_rows(l, l, all));
    EXPECT_LE(distance(writes[i], expected), 1e-13);
  }
}

TEST(BatchTopK, KeepsWhatReachesTheBarAndInUseTheThreshold) {
  const at::Tensor h = at::tensor({1.0, 3.0, -2.0, 5.0, 3.0, 0.5}, at::kDouble).view({2, 3});
  const BatchTopK batch(1, {.layers = 1, .width = 1, .features = 3}, at::kDouble);
  const Candidates candidates = batch.propose(0, h, 0, Watch::kNothing);
  EXPECT_EQ(candidates.count(), 5);
  const LayerCodes kept = batch.filter(0, candidates, 3.0);  // equal to the bar: kept
  EXPECT_TRUE(at::equal(kept.index, at::tensor({1, 0, 1}, at::kInt)));
  EXPECT_TRUE(at::equal(kept.offsets, at::tensor({0, 1, 3}, at::kLong)));
  batch.parameters()[0].value.fill_(3.0);
  EXPECT_EQ(batch.filter(0, candidates, std::nullopt).count(), 1);  // above the threshold
}

}  // namespace
}  // namespace crossloom::architectures::test
