// Identities between architectures and properties of all of them (transcoders.md 16).
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "architectures/clt.h"
#include "architectures/plt.h"
#include "tests/architectures/staged_step.h"

namespace crossloom::architectures::test {
namespace {

/// Codes of one token that activate feature 0 with `value`.
LayerCodes one_code(double value) {
  return {.offsets = at::tensor({0, 1}, at::kLong),
          .index = at::zeros({1}, at::kInt),
          .value = at::full({1}, value, at::kDouble)};
}

std::vector<double> decode_worked(const DecoderTopology& topology) {
  std::vector<at::Tensor> y_hat(2);
  for (int64_t target = 0; target < 2; ++target) {
    decode_target(topology, target, {one_code(0.5), one_code(1.0)}, {0, 1},
                  y_hat[static_cast<size_t>(target)]);
  }
  return {y_hat[0].item<double>(), y_hat[1].item<double>()};
}

TEST(Topologies, WorkedValues) {
  const TranscoderShape shape{.layers = 2, .width = 1, .features = 1};
  const Clt clt(shape, at::kDouble);
  clt.parameters()[0].value.copy_(at::tensor({1.0, 2.0}, at::kDouble).view({1, 2, 1}));
  clt.parameters()[2].value.fill_(3.0);
  EXPECT_EQ(decode_worked(clt), (std::vector<double>{0.5, 4.0}));
  const Plt plt(shape, at::kDouble);
  plt.parameters()[0].value.fill_(1.0);
  plt.parameters()[2].value.fill_(3.0);
  EXPECT_EQ(decode_worked(plt), (std::vector<double>{0.5, 3.0}));
}

/// Copies a PLT's parameters into a CLT with zero off-diagonal decoders.
void copy_plt(const Transcoder& plt, const Transcoder& clt) {
  for (size_t p = 0; p < plt.parameters().size(); ++p) {
    const Parameter& from = plt.parameters()[p];
    const Parameter& to = clt.parameters()[p];
    ASSERT_EQ(from.name, to.name);
    if (to.name.starts_with("W_dec")) {
      to.value.zero_();
      to.value.select(1, 0).copy_(from.value);
    } else {
      to.value.copy_(from.value);
    }
  }
}

TEST(Topologies, CltWithoutOffDiagonalsIsAPlt) {
  const Sizes sizes;
  const auto plt = random_transcoder("plt-topk", sizes);
  const auto clt = random_transcoder("clt-topk", sizes, at::kDouble, 2);
  copy_plt(*plt, *clt);
  const auto x = random_rows(sizes, at::kDouble, 5);
  const auto y = random_rows(sizes, at::kDouble, 6);
  const StepResult p = staged_step(*plt, x, y);
  const StepResult c = staged_step(*clt, x, y);
  EXPECT_EQ(p.loss, c.loss);
  for (size_t l = 0; l < x.size(); ++l) {
    EXPECT_TRUE(same_bits(p.y_hat[l], c.y_hat[l]));
    EXPECT_LE(distance(p.value_grad[l], c.value_grad[l]), 1e-14);
  }
}

TEST(Topologies, WithOneLayerCltIsPlt) {
  const Sizes sizes{.layers = 1};
  const auto plt = random_transcoder("plt-topk", sizes);
  const auto clt = random_transcoder("clt-topk", sizes, at::kDouble, 2);
  copy_plt(*plt, *clt);
  const auto x = random_rows(sizes, at::kDouble, 5);
  const auto y = random_rows(sizes, at::kDouble, 6);
  const StepResult p = staged_step(*plt, x, y);
  const StepResult c = staged_step(*clt, x, y);
  for (size_t g = 0; g < p.gradients.size(); ++g) {
    EXPECT_TRUE(same_bits(p.gradients[g], c.gradients[g].view(p.gradients[g].sizes())));
  }
}

class Identities : public ::testing::TestWithParam<Registry::Row> {};

int64_t element_count(const Transcoder& transcoder) {
  int64_t count = 0;
  for (const Parameter& parameter : transcoder.parameters()) {
    count += parameter.value.numel();
  }
  return count;
}

TEST_P(Identities, HasTheParametersOfItsFormula) {
  const Sizes sizes{.layers = 4, .width = 6, .features = 10, .k = 2};
  const auto transcoder = random_transcoder(GetParam().name, sizes);
  const int64_t l = sizes.layers;
  const int64_t d = sizes.width;
  const int64_t f = sizes.features;
  int64_t expected = l * d * f + l * (f + d);  // encoders and biases
  if (GetParam().topology == "plt") {
    expected += l * d * f;
  } else if (GetParam().topology == "clt") {
    expected += l * (l + 1) / 2 * d * f;
  } else {
    FAIL() << "no parameter formula for topology " << GetParam().topology;
  }
  EXPECT_EQ(element_count(*transcoder), expected);
}

/// Rows of every parameter with a feature axis reordered: feature i becomes permutation[i]'s copy.
void permute_features(const Transcoder& transcoder, const at::Tensor& permutation) {
  for (const Parameter& parameter : transcoder.parameters()) {
    if (!parameter.name.starts_with("b_dec")) {
      parameter.value.copy_(parameter.value.index_select(0, permutation).clone());
    }
  }
}

TEST_P(Identities, PermutingFeaturesLeavesTheLossUnchanged) {
  const Sizes sizes;
  const auto transcoder = random_transcoder(GetParam().name, sizes);
  const auto x = random_rows(sizes, at::kDouble, 5);
  const auto y = random_rows(sizes, at::kDouble, 6);
  const StepResult before = staged_step(*transcoder, x, y);
  permute_features(*transcoder, at::arange(sizes.features - 1, -1, -1, at::kLong));
  const StepResult after = staged_step(*transcoder, x, y);
  EXPECT_FALSE(at::equal(before.codes[0].index, after.codes[0].index));
  EXPECT_NEAR(before.loss, after.loss, 1e-13);
}

/// Sizes at which the work is split between threads and into panels.
const Sizes kLarge{.tokens = 300, .layers = 3, .width = 200, .features = 1000, .k = 12};

TEST_P(Identities, TwoThreadsGiveTheBitsOfOne) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    const auto transcoder = random_transcoder(GetParam().name, kLarge, type);
    const auto x = random_rows(kLarge, type, 5);
    const auto y = random_rows(kLarge, type, 6);
    const int threads = at::get_num_threads();
    at::set_num_threads(1);
    const StepResult one = staged_step(*transcoder, x, y);
    at::set_num_threads(2);
    const StepResult two = staged_step(*transcoder, x, y);
    at::set_num_threads(threads);
    EXPECT_EQ(one.loss, two.loss);
    for (size_t l = 0; l < x.size(); ++l) {
      EXPECT_TRUE(same_bits(one.codes[l].value, two.codes[l].value));
      EXPECT_TRUE(same_bits(one.y_hat[l], two.y_hat[l]));
      EXPECT_TRUE(same_bits(one.value_grad[l], two.value_grad[l]));
    }
    for (size_t p = 0; p < one.gradients.size(); ++p) {
      EXPECT_TRUE(same_bits(one.gradients[p], two.gradients[p]));
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
  const at::Tensor all = at::arange(sizes.features, at::kInt);
  for (int64_t target = 0; target < sizes.layers; ++target) {
    const size_t bias = transcoder->parameters().size() - 2 * static_cast<size_t>(sizes.layers) +
                        2 * static_cast<size_t>(target) + 1;
    ASSERT_EQ(transcoder->parameters()[bias].name, "b_dec_" + std::to_string(target));
    at::Tensor sum = transcoder->parameters()[bias].value.expand({sizes.tokens, -1}).clone();
    for (int64_t source = 0; source < sizes.layers; ++source) {
      const at::Tensor rows = transcoder->written_rows(source, target, all);
      if (rows.defined()) {
        sum += at::mm(dense(codes[static_cast<size_t>(source)], sizes.features), rows);
      }
    }
    EXPECT_LE(distance(sum, y_hat[static_cast<size_t>(target)]), 1e-13);
  }
  const at::Tensor some = at::tensor({4, 0}, at::kInt);
  EXPECT_TRUE(at::equal(transcoder->read_rows(1, some),
                        transcoder->read_rows(1, all).index_select(0, some)));
}

INSTANTIATE_TEST_SUITE_P(EveryRow, Identities, ::testing::ValuesIn(Registry::instance().rows()),
                         row_test_name);

}  // namespace
}  // namespace crossloom::architectures::test
