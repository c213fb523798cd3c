// BatchTopK's candidates through the screen by products of bytes against those of the whole float32
// product: the same codes under the batch's bar, also where the batch comes in parts.
#include <gtest/gtest.h>

#include <limits>

#include "architectures/batch_topk.h"
#include "architectures/kernels/byte_products.h"
#include "architectures/kernels/screened_batch_topk.h"
#include "architectures/row_selection.h"
#include "tests/architectures/staged_step.h"

namespace crossloom::architectures::test {
namespace {

using kernels::screened_batch_topk;

struct Case {
  const char* name;
  int64_t tokens, width, features, k;
  double shift;  // of every input and weight: rows get a common direction, products a large mean
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.name;
}

const Case kCases[] = {{"quickstart", 130, 576, 576, 16, 0.0},
                       {"wide", 70, 300, 3168, 32, 0.0},
                       {"ragged", 67, 17, 101, 7, 0.0},
                       {"one_kept", 40, 64, 130, 1, 0.0},
                       {"common_direction", 90, 128, 400, 16, 0.8}};

/// Inputs and an encoder; `unit` > 0: small multiples of it, so that all sums are exact.
struct Layer {
  Layer(const Case& c, double unit) {
    const auto numbers = [&](at::IntArrayRef shape, uint64_t key, double shift) {
      const at::Tensor all = random_tensor(shape, at::kFloat, key) + shift;
      return unit > 0.0 ? all.div(unit).round().mul(unit) : all;
    };
    x = numbers({c.tokens, c.width}, 1, c.shift);
    weight = numbers({c.features, c.width}, 2, c.shift);
    bias = numbers({c.features}, 3, 0.0);
  }
  at::Tensor x, weight, bias;
};

double bar_of(const LayerCodes& candidates, int64_t kept) {
  const at::Tensor sorted = std::get<0>(candidates.value.sort(0, /*descending=*/true));
  return sorted.numel() < kept ? 0.0 : sorted[kept - 1].item<double>();
}

class BatchScreen : public ::testing::TestWithParam<Case> {};

TEST_P(BatchScreen, KeepsWhatTheWholeProductKeeps) {
  const Case& c = GetParam();
  const Layer layer(c, 0.0);
  const int64_t kept = c.k * c.tokens;
  const auto found = screened_batch_topk(layer.x, layer.weight, layer.bias, kept);
  ASSERT_TRUE(found.has_value());
  EXPECT_GE(found->count(), kept);
  EXPECT_LE(found->count(), kept + 5);  // entries that equal the bar
  const at::Tensor exact = at::addmm(layer.bias.to(at::kDouble), layer.x.to(at::kDouble),
                                     layer.weight.to(at::kDouble).t());
  const double bar = -std::get<0>((-exact).flatten().kthvalue(kept)).item<double>();
  const at::Tensor mine = dense(*found, c.features).to(at::kDouble);
  const double tolerance = 1e-5 * (1.0 + exact.abs().max().item<double>());
  EXPECT_TRUE(mine.gt(0).logical_or(exact.lt(bar + tolerance)).all().item<bool>());
  EXPECT_TRUE(mine.eq(0).logical_or(exact.gt(bar - tolerance)).all().item<bool>());
  EXPECT_LE(distance(mine, at::where(mine.gt(0), exact, at::zeros_like(exact))), tolerance);
}

TEST_P(BatchScreen, IsIdenticalOnDyadicNumbers) {
  const Case& c = GetParam();
  const Layer layer(c, 1.0 / 8);
  const int64_t kept = c.k * c.tokens;
  const at::Tensor h = at::addmm(layer.bias, layer.x, layer.weight.t());
  const LayerCodes all = positive_rows(0, h, 0);
  const auto found = screened_batch_topk(layer.x, layer.weight, layer.bias, kept);
  ASSERT_TRUE(found.has_value());
  const double bar = bar_of(all, kept);
  EXPECT_EQ(bar_of(*found, kept), bar);
  const LayerCodes plain = select_entries(all, all.value.ge(bar));
  EXPECT_TRUE(at::equal(found->offsets, plain.offsets));
  EXPECT_TRUE(at::equal(found->index, plain.index));
  EXPECT_TRUE(at::equal(found->value, plain.value));
}

INSTANTIATE_TEST_SUITE_P(Shapes, BatchScreen, ::testing::ValuesIn(kCases),
                         [](const auto& shape) { return std::string(shape.param.name); });

/// One half of the batch holds nearly all that is kept.
TEST(BatchScreenParts, ProposeWhatTheWholeBatchKeeps) {
  const Case c{"parts", 160, 64, 600, 6, 0.0};
  Layer layer(c, 1.0 / 8);
  layer.x.narrow(0, 0, 80).mul_(4.0);
  BatchTopK activation(c.k, {1, c.width, c.features}, at::kFloat);
  const int64_t kept = c.k * c.tokens;
  const LayerCodes all = positive_rows(0, at::addmm(layer.bias, layer.x, layer.weight.t()), 0);
  const double bar = bar_of(all, kept);
  const LayerCodes whole = activation.filter(0, all, bar);
  activation.set_batch_parts(2);
  int64_t entries = 0;
  for (const int64_t begin : {0, 80}) {
    const EncoderProduct product{.x = layer.x.narrow(0, begin, 80),
                                 .weight = layer.weight,
                                 .bias = layer.bias,
                                 .first_feature = 0};
    const auto proposed = activation.propose_from(0, product, Watch::kGradients);
    const auto in_use = activation.propose_from(0, product, Watch::kNothing);
    if (kernels::has_byte_products()) {  // else the whole product proposes all positive entries
      EXPECT_LT(proposed.count(), in_use.count() / 2);
    }
    const LayerCodes codes = activation.filter(0, proposed, bar);
    const int64_t count = codes.count();
    EXPECT_TRUE(at::equal(codes.index, whole.index.narrow(0, entries, count)));
    EXPECT_TRUE(at::equal(codes.value, whole.value.narrow(0, entries, count)));
    entries += count;
  }
  EXPECT_EQ(entries, whole.count());
}

TEST(BatchScreenLimits, WhatIsOfNoUseIsLeftToTheWholeProduct) {
  const Layer layer({"", 64, 32, 512, 4, 0.0}, 0.0);
  EXPECT_TRUE(screened_batch_topk(layer.x, layer.weight, layer.bias, 256).has_value());
  EXPECT_FALSE(screened_batch_topk(layer.x, layer.weight, layer.bias, 64 * 512 / 4).has_value());
  EXPECT_FALSE(screened_batch_topk(layer.x, layer.weight, layer.bias - 100.0, 256).has_value());
  EXPECT_FALSE(screened_batch_topk(layer.x, layer.weight, layer.bias + 1e8, 256).has_value());
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    at::Tensor x = layer.x.clone();
    x[3][5] = bad;
    EXPECT_FALSE(screened_batch_topk(x, layer.weight, layer.bias, 256).has_value());
  }
}

}  // namespace
}  // namespace crossloom::architectures::test
