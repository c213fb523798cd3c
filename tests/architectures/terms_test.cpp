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
    std::vector<at::Tensor> weights;
    double expected = 0.0;
    for (int64_t l = 0; l < sizes.layers; ++l) {
      const auto i = static_cast<size_t>(l);
      weights.push_back(
          random_tensor({sizes.features}, at::kDouble, 8 + static_cast<uint64_t>(l)).abs());
      const at::Tensor h = transcoder->pre_activations(l, x[i]);
      const at::Tensor theta = transcoder->thresholds(l);
      const at::Tensor silent = dense(codes[i], sizes.features).eq(0.0).to(at::kDouble);
      const at::Tensor shortfall = (theta.defined() ? theta : at::zeros_like(weights[i])) - h;
      expected += (shortfall * silent * weights[i]).sum().item<double>();
    }
    const PreActivationTerm term = pre_activation_loss(*transcoder, x, codes, weights, {});
    EXPECT_NEAR(term.loss, expected, 1e-11) << name;
    EXPECT_TRUE(term.norm_grad.empty());
  }
}

TEST(PreActivationLoss, ADecoderOfZerosDoesNotDivide) {
  const Sizes sizes;
  const auto transcoder = random_transcoder("plt-relu", sizes);
  const auto x = random_rows(sizes, at::kDouble, 5);
  const std::vector<at::Tensor> zeros(x.size(), at::zeros({sizes.features}, at::kDouble));
  const auto term = pre_activation_loss(*transcoder, x, encode(*transcoder, x), zeros, zeros);
  EXPECT_EQ(term.loss, 0.0);
  EXPECT_TRUE(at::equal(term.norm_grad[0], zeros[0]));
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

class AuxKGradients : public ::testing::TestWithParam<Registry::Row> {};

TEST_P(AuxKGradients, EqualTheAutogradOracle) {
  constexpr double kTolerance = 1e-10;
  const Sizes sizes{.tokens = 20, .layers = 4};
  const auto transcoder = random_transcoder(GetParam().name, sizes);
  const auto x = random_rows(sizes, at::kDouble, 5);
  const auto y = random_rows(sizes, at::kDouble, 9);
  AuxKTerm term{.dead = at::zeros({sizes.layers, sizes.features}, at::kBool),
                .kept = 3,
                .weights = {0.3, 0.2, 0.7, 0.4}};
  term.dead[0].slice(0, 0, sizes.features, 2).fill_(true);
  term.dead[1].slice(0, 1, 3).fill_(true);  // fewer than are kept
  term.dead[3].fill_(true);                 // and none of layer 2
  std::vector<at::Tensor> y_hat;
  transcoder->decode(encode(*transcoder, x), x, {0, sizes.width}, y_hat);
  KeepingSink sink(transcoder->parameters());
  const auto squared = auxiliary_reconstruction(*transcoder, term, x, y, y_hat, sink);
  const StepResult oracle = oracle_auxk(GetParam(), *transcoder, term, x, y, y_hat);
  double loss = 0.0;
  for (size_t l = 0; l < squared.size(); ++l) {
    loss += term.weights[l] * squared[l];
  }
  EXPECT_NEAR(loss, oracle.loss, kTolerance * oracle.loss);
  for (size_t p = 0; p < sink.gradients.size(); ++p) {
    EXPECT_LE(distance(sink.gradients[p], oracle.gradients[p]), kTolerance)
        << transcoder->parameters()[p].name;
  }
  EXPECT_GT(oracle.gradients[0].abs().max().item<double>(), 1e-3);
}

std::vector<Registry::Row> topk_rows() {
  std::vector<Registry::Row> rows;
  for (const Registry::Row& row : Registry::instance().rows()) {
    if (row.activation.ends_with("topk")) {
      rows.push_back(row);
    }
  }
  return rows;
}

INSTANTIATE_TEST_SUITE_P(TopKRows, AuxKGradients, ::testing::ValuesIn(topk_rows()), row_test_name);

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
