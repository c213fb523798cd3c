// TopK through the bfloat16 screen against TopK of the whole float32 product: the same codes, but
// for entries whose value equals the K-th within float32's rounding.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "architectures/kernels/screen.h"
#include "architectures/kernels/screened_topk.h"
#include "architectures/topk.h"
#include "tests/architectures/staged_step.h"

namespace crossloom::architectures::test {
namespace {

struct Case {
  const char* name;
  int64_t tokens;
  int64_t width;
  int64_t features;
  int64_t k;
  double shift;  // of every input and weight: rows get a common direction, products a large mean
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.name;
}

const Case kCases[] = {
    {"quickstart", 130, 576, 576, 16, 0.0}, {"wide", 70, 300, 3168, 32, 0.0},
    {"ragged", 67, 17, 101, 7, 0.0},        {"all_kept", 40, 64, 64, 64, 0.0},
    {"one_kept", 40, 64, 130, 1, 0.0},      {"common_direction", 90, 128, 400, 16, 0.8},
    {"few_positive", 30, 32, 200, 100, 0.0}};

class Screen : public ::testing::TestWithParam<Case> {
 protected:
  at::Tensor uniform(at::IntArrayRef shape, uint64_t key) const {
    return random_tensor(shape, at::kFloat, key) + GetParam().shift;
  }
};

/// Entries of `mine` absent from `theirs` have the K-th value, up to `tolerance`.
void expect_same_but_for_ties(const at::Tensor& mine, const at::Tensor& theirs) {
  const at::Tensor only_mine = mine.gt(0).logical_and(theirs.eq(0));
  for (int64_t t = 0; t < mine.size(0); ++t) {
    if (only_mine[t].any().item<bool>()) {
      const double kth =
          theirs[t].masked_select(theirs[t].gt(0)).min().to(at::kDouble).item<double>();
      const at::Tensor gap =
          (mine[t].masked_select(only_mine[t]).to(at::kDouble) - kth).abs().max();
      EXPECT_LE(gap.item<double>(), 1e-5 * kth) << "token " << t;
    }
  }
}

TEST_P(Screen, KeepsWhatTheWholeProductKeeps) {
  const Case& c = GetParam();
  const at::Tensor x = uniform({c.tokens, c.width}, 1);
  const at::Tensor weight = uniform({c.features, c.width}, 2);
  const at::Tensor bias = random_tensor({c.features}, at::kFloat, 3);
  const auto screened = kernels::screened_topk(x, weight, bias, c.k);
  ASSERT_TRUE(screened.has_value());
  const at::Tensor exact =
      at::addmm(bias.to(at::kDouble), x.to(at::kDouble), weight.to(at::kDouble).t());
  const LayerCodes plain =
      TopK(c.k, c.features).propose(0, exact.to(at::kFloat), 0, Watch::kNothing);
  EXPECT_TRUE(at::equal(screened->offsets, plain.offsets));
  const at::Tensor mine = dense(*screened, c.features);
  const at::Tensor theirs = dense(plain, c.features);
  expect_same_but_for_ties(mine, theirs);
  expect_same_but_for_ties(theirs, mine);
  const at::Tensor values = at::where(mine.gt(0), exact, at::zeros_like(exact));
  EXPECT_LE(distance(mine.to(at::kDouble), values),
            1e-5 * (1.0 + exact.abs().max().item<double>()));
}

/// Small multiples of 1/8: every product and sum is exact in float32, so ties are real ones.
TEST_P(Screen, IsIdenticalOnDyadicNumbers) {
  const Case& c = GetParam();
  const auto dyadic = [](const at::Tensor& values) { return at::round(values * 8.0) / 8.0; };
  const at::Tensor x = dyadic(uniform({c.tokens, c.width}, 4));
  const at::Tensor weight = dyadic(uniform({c.features, c.width}, 5));
  const at::Tensor bias = dyadic(random_tensor({c.features}, at::kFloat, 6));
  const auto screened = kernels::screened_topk(x, weight, bias, c.k);
  ASSERT_TRUE(screened.has_value());
  const LayerCodes plain =
      TopK(c.k, c.features).propose(0, at::addmm(bias, x, weight.t()), 0, Watch::kNothing);
  EXPECT_TRUE(at::equal(screened->offsets, plain.offsets));
  EXPECT_TRUE(at::equal(screened->index, plain.index));
  EXPECT_TRUE(at::equal(screened->value, plain.value));
}

/// Weights in bfloat16 have no rounding error, and their survivors' values are float32's of the
/// same numbers.
TEST_P(Screen, OfStoredHalvesIsThatOfTheSameNumbers) {
  const Case& c = GetParam();
  const at::Tensor x = uniform({c.tokens, c.width}, 1);
  const at::Tensor stored = uniform({c.features, c.width}, 2).to(at::kBFloat16);
  const at::Tensor bias = random_tensor({c.features}, at::kFloat, 3);
  const auto halves = kernels::screened_topk(x, stored, bias, c.k);
  const auto widened = kernels::screened_topk(x, stored.to(at::kFloat), bias, c.k);
  ASSERT_TRUE(halves.has_value() && widened.has_value());
  EXPECT_TRUE(at::equal(halves->offsets, widened->offsets));
  EXPECT_TRUE(at::equal(halves->index, widened->index));
  EXPECT_TRUE(at::equal(halves->value, widened->value));
}

INSTANTIATE_TEST_SUITE_P(Shapes, Screen, ::testing::ValuesIn(kCases),
                         [](const auto& instance) { return std::string(instance.param.name); });

/// The worst inputs for the bound: every rounding error of a row points the same way.
TEST(ScreenBound, HoldsWhenAllRoundingErrorsAdd) {
  const int64_t width = 64;
  const int64_t features = 96;
  const at::Tensor x = at::full({64, width}, 1.0F + 0x1.fp-9F);  // almost half a step up
  at::Tensor weight = at::full({features, width}, 1.0F);
  // Even features lose by the screen (rounded down), odd ones win by it; truly it is the reverse.
  for (int64_t f = 0; f < features; ++f) {
    weight[f].fill_(f % 2 == 0 ? 1.0F + 0x1.fp-9F : 1.0F + 0x1.2p-9F);
    weight[f].narrow(0, 0, width / 2).fill_(f % 2 == 0 ? 1.0F : 1.0F + 0x1.0p-11F);
  }
  const at::Tensor bias = at::zeros({features}, at::kFloat);
  const at::Tensor h = at::mm(x.to(at::kDouble), weight.to(at::kDouble).t()).to(at::kFloat);
  const auto screened = kernels::screened_topk(x, weight, bias, features / 2);
  ASSERT_TRUE(screened.has_value());
  const LayerCodes plain = TopK(features / 2, features).propose(0, h, 0, Watch::kNothing);
  EXPECT_TRUE(at::equal(screened->index, plain.index));
}

TEST(ScreenBound, IsRefusedWhereNumbersAreNotFinite) {
  const at::Tensor x = random_tensor({64, 64}, at::kFloat, 1);
  const at::Tensor weight = random_tensor({64, 64}, at::kFloat, 2);
  const at::Tensor bias = at::zeros({64}, at::kFloat);
  const auto with = [](const at::Tensor& tensor, float value) {
    const at::Tensor copy = tensor.clone();
    copy.view(-1)[70 % copy.numel()].fill_(value);
    return copy;
  };
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e30F}) {
    EXPECT_FALSE(kernels::screened_topk(with(x, bad), weight, bias, 4).has_value());
    EXPECT_FALSE(kernels::screened_topk(x, with(weight, bad), bias, 4).has_value());
  }
  EXPECT_FALSE(
      kernels::screened_topk(x, weight, with(bias, std::numeric_limits<float>::quiet_NaN()), 4)
          .has_value());
}

TEST(ScreenBound, LeavesFewSurvivorsOfRandomRows) {
  const int64_t width = 576;
  const int64_t features = 3168;
  const at::Tensor x = random_tensor({1, width}, at::kFloat, 1);
  const at::Tensor weight = random_tensor({features, width}, at::kFloat, 2);
  std::vector<uint16_t> rounded(static_cast<size_t>(width));
  const auto squares = kernels::round_row(x.const_data_ptr<float>(), width, rounded.data());
  // Uniform mantissas: the rounding error of a row is about 0.4 · 2⁻⁸ of its norm.
  EXPECT_NEAR(std::sqrt(squares.error / squares.whole), 0.4 * 0x1p-8, 0.1 * 0x1p-8);
  const at::Tensor near =
      at::from_blob(rounded.data(), {1, width}, at::TensorOptions(at::kBFloat16)).to(at::kFloat);
  EXPECT_TRUE(at::equal(near, x.to(at::kBFloat16).to(at::kFloat)));
  const at::Tensor products =
      at::mm(near, weight.to(at::kBFloat16).to(at::kFloat).t()).to(at::kBFloat16);
  const at::Tensor weight_error = (weight - weight.to(at::kBFloat16).to(at::kFloat)).norm(2, 1);
  const at::Tensor norms = weight.norm(2, 1);
  const at::Tensor bias = at::zeros({features}, at::kFloat);
  std::vector<int32_t> places(static_cast<size_t>(features + kernels::kScreenLanes));
  std::vector<float> scratch;
  const kernels::ScreenRow row{.products = static_cast<const uint16_t*>(products.const_data_ptr()),
                               .bias = bias.const_data_ptr<float>(),
                               .norms = norms.const_data_ptr<float>(),
                               .error_norms = weight_error.const_data_ptr<float>(),
                               .count = features,
                               .input_error = std::sqrt(squares.error),
                               .input_norm = std::sqrt(squares.whole)};
  const int64_t kept = 32;
  const int64_t found = kernels::screen_row(row, kept, scratch, places.data());
  EXPECT_GE(found, kept);
  EXPECT_LE(found, 3 * kept);
}

}  // namespace
}  // namespace crossloom::architectures::test
