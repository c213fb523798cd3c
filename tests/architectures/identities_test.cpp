// Properties of every row of the registry (transcoders.md 16).
#include <gtest/gtest.h>

#include "architectures/parameter_count.h"
#include "tests/architectures/staged_step.h"
#include "tests/support/threads.h"

namespace crossloom::architectures::test {
namespace {

TEST(ParameterCount, PublishedValues) {
  const auto count = [](const char* name, const TranscoderShape& shape) {
    TranscoderOptions options;
    options.architecture = name;
    options.features = shape.features;
    return parameter_count(options, shape);
  };
  const TranscoderShape gpt2{.layers = 12, .width = 768, .features = int64_t{1} << 17};
  EXPECT_EQ(count("plt-topk", gpt2), 2'417'501'184);
  EXPECT_EQ(count("plt-jumprelu", gpt2) - count("plt-topk", gpt2), 1'572'864);
  EXPECT_EQ(count("plt-topk-skip", gpt2) - count("plt-topk", gpt2), 7'077'888);
  EXPECT_EQ(count("clt-topk", {12, 768, 1 << 15}), 2'265'326'592);
  EXPECT_EQ(count("clt-jumprelu", {12, 768, 1 << 15}) - count("clt-topk", {12, 768, 1 << 15}),
            393'216);
  EXPECT_EQ(count("clt-incremental-topk", {12, 768, 3 << 15}), 1'813'128'192);
  const TranscoderShape qwen3{.layers = 36, .width = 4096, .features = 32768};
  const int64_t biases = qwen3.layers * (qwen3.features + qwen3.width);
  EXPECT_EQ(count("clt-relu", qwen3) - biases, 94'220'845'056);  // that checkpoint has no biases
}

class Identities : public ::testing::TestWithParam<Registry::Row> {};

TEST_P(Identities, HasTheParametersOfItsFormula) {
  const Sizes sizes{.layers = 4, .width = 6, .features = 10, .k = 2};
  const auto transcoder = random_transcoder(GetParam().name, sizes);
  EXPECT_EQ(element_count(transcoder->parameters()),
            parameter_count(transcoder->options(), transcoder->shape()));
}

/// Every parameter with a feature axis reordered: feature i becomes permutation[i]'s copy.
void permute_features(const Transcoder& transcoder, const at::Tensor& permutation) {
  for (const Parameter& parameter : transcoder.parameters()) {
    for (int64_t axis = 0; axis < parameter.value.dim(); ++axis) {
      if (parameter.value.size(axis) == permutation.size(0)) {  // F differs from D and L
        parameter.value.copy_(parameter.value.index_select(axis, permutation).clone());
      }
    }
  }
}

TEST_P(Identities, PermutingFeaturesLeavesTheLossUnchanged) {
  const Sizes sizes;
  const auto transcoder = random_transcoder(GetParam().name, sizes);
  const auto x = random_rows(sizes, at::kDouble, 5);
  const auto y = random_rows(sizes, at::kDouble, 6);
  const StepResult before = staged_step(*transcoder, x, y, {});
  permute_features(*transcoder, at::arange(sizes.features - 1, -1, -1, at::kLong));
  const StepResult after = staged_step(*transcoder, x, y, {.pull_reversed = true});
  EXPECT_FALSE(at::equal(before.codes[0].index, after.codes[0].index));
  EXPECT_NEAR(before.loss, after.loss, 1e-12);
}

/// Sizes at which the work is split between threads and into panels.
const Sizes kLarge{.tokens = 300, .layers = 3, .width = 200, .features = 1000, .k = 12};
/// As many layers as two threads may take side by side.
const Sizes kEven{.tokens = 300, .layers = 4, .width = 200, .features = 1000, .k = 12};

TEST_P(Identities, LayersTogetherProposeWhatEachProposes) {
  const crossloom::test::Threads two(2);
  const auto transcoder = random_transcoder(GetParam().name, kEven, at::kFloat);
  const auto x = random_rows(kEven, at::kFloat, 5);
  const auto together = transcoder->propose_all(x, Watch::kGradients);
  ASSERT_EQ(together.size(), x.size());
  for (size_t l = 0; l < x.size(); ++l) {
    const auto alone = transcoder->propose(static_cast<int64_t>(l), x[l], Watch::kGradients);
    EXPECT_TRUE(at::equal(together[l].offsets, alone.offsets));
    EXPECT_TRUE(at::equal(together[l].index, alone.index));
    EXPECT_TRUE(same_bits(together[l].value, alone.value));
  }
}

StepResult step_with_threads(int count, const Transcoder& transcoder,
                             const std::vector<at::Tensor>& x, const std::vector<at::Tensor>& y) {
  const crossloom::test::Threads these(count);
  return staged_step(transcoder, x, y);
}

void expect_same_bits(const StepResult& one, const StepResult& two) {
  EXPECT_EQ(one.loss, two.loss);
  for (size_t l = 0; l < one.codes.size(); ++l) {
    EXPECT_TRUE(same_bits(one.codes[l].value, two.codes[l].value));
    EXPECT_TRUE(same_bits(one.y_hat[l], two.y_hat[l]));
    EXPECT_TRUE(same_bits(one.value_grad[l], two.value_grad[l]));
  }
  for (size_t p = 0; p < one.gradients.size(); ++p) {
    EXPECT_TRUE(same_bits(one.gradients[p], two.gradients[p]));
  }
}

void expect_equal_but_for(double rounding, const StepResult& one, const StepResult& two) {
  EXPECT_NEAR(one.loss, two.loss, rounding * one.loss);
  for (size_t p = 0; p < one.gradients.size(); ++p) {
    const double scale = one.gradients[p].abs().max().item<double>();
    EXPECT_LE(distance(one.gradients[p], two.gradients[p]), rounding * scale);
  }
}

TEST_P(Identities, TwoThreadsGiveTheBitsOfOne) {
  for (const Sizes& sizes : {kLarge, kEven}) {
    for (const auto type : {at::kFloat, at::kDouble}) {
      const auto transcoder = random_transcoder(GetParam().name, sizes, type);
      const auto x = random_rows(sizes, type, 5);
      const auto y = random_rows(sizes, type, 6);
      const StepResult one = step_with_threads(1, *transcoder, x, y);
      const StepResult two = step_with_threads(2, *transcoder, x, y);
      if (has_fixed_order(GetParam(), *transcoder, one.codes)) {
        expect_same_bits(one, two);
      } else {  // a GEMM's bits depend on its threads
        expect_equal_but_for(type == at::kFloat ? 1e-5 : 1e-13, one,
                             two);  // sums of 1,000 products
      }
    }
  }
}

TEST_P(Identities, Float32EqualsTheDenseOracleUpToRounding) {
  constexpr double kFloat32Relative = 2e-5;  // sums of a few hundred terms at 6e-8 each
  const auto transcoder = random_transcoder(GetParam().name, kLarge, at::kFloat);
  const auto x = random_rows(kLarge, at::kFloat, 5);
  const auto y = random_rows(kLarge, at::kFloat, 6);
  const StepResult staged = staged_step(*transcoder, x, y);
  const StepResult oracle = oracle_step(GetParam(), *transcoder, x, y);
  EXPECT_NEAR(staged.loss, oracle.loss, kFloat32Relative * oracle.loss);
  for (size_t p = 0; p < staged.gradients.size(); ++p) {
    const double scale = oracle.gradients[p].abs().max().item<double>();
    EXPECT_LE(distance(staged.gradients[p].to(at::kDouble), oracle.gradients[p]),
              kFloat32Relative * scale)
        << transcoder->parameters()[p].name;
  }
}

TEST_P(Identities, DecodesThroughItsWrittenRows) {
  const Sizes sizes;
  const auto transcoder = random_transcoder(GetParam().name, sizes);
  const auto x = random_rows(sizes, at::kDouble, 5);
  const Codes codes = encode(*transcoder, x);
  std::vector<at::Tensor> y_hat;
  transcoder->decode(codes, x, {0, sizes.width}, y_hat);
  for (int64_t target = 0; target < sizes.layers; ++target) {
    at::Tensor sum = find_parameter(*transcoder, "b_dec_" + std::to_string(target))
                         .expand({sizes.tokens, -1})
                         .clone();
    if (transcoder->skip_weight(target).defined()) {
      sum += at::mm(x[static_cast<size_t>(target)], transcoder->skip_weight(target).t());
    }
    for (int64_t source = 0; source < sizes.layers; ++source) {
      const LayerCodes& layer = codes[static_cast<size_t>(source)];
      const at::Tensor rows = transcoder->written_rows(source, target, layer.index, layer.value);
      if (rows.defined()) {
        const at::Tensor token = at::repeat_interleave(row_counts(layer));
        sum.index_add_(0, token, layer.value.unsqueeze(1) * rows);
      }
    }
    EXPECT_LE(distance(sum, y_hat[static_cast<size_t>(target)]), 1e-13);
  }
  const at::Tensor all = at::arange(sizes.features, at::kInt);
  const at::Tensor some = at::tensor({4, 0}, at::kInt);
  EXPECT_TRUE(at::equal(transcoder->read_rows(1, some),
                        transcoder->read_rows(1, all).index_select(0, some)));
}

INSTANTIATE_TEST_SUITE_P(EveryRow, Identities, ::testing::ValuesIn(Registry::instance().rows()),
                         row_test_name);

}  // namespace
}  // namespace crossloom::architectures::test
