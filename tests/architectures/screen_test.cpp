// TopK through the screen by products of bytes against TopK of the whole float32 product: the same
// codes, but for entries whose value equals the K-th within float32's rounding.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "architectures/kernels/byte_products.h"
#include "architectures/kernels/byte_rows.h"
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

/// Weights in bfloat16 are the numbers that they are in float32.
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

/// Numbers whose squares are 0 in float32 have a bound, too: the only positive entries are found.
TEST(ScreenBound, HoldsForNumbersWhoseSquaresVanish) {
  const at::Tensor x = random_tensor({64, 64}, at::kFloat, 1);
  const at::Tensor weight = random_tensor({100, 64}, at::kFloat, 2);
  weight.narrow(0, 7, 60).mul_(1e-24F);
  const at::Tensor bias = at::full({100}, -1e3F);
  bias.narrow(0, 7, 60).fill_(0.0F);
  const auto screened = kernels::screened_topk(x, weight, bias, 32);
  ASSERT_TRUE(screened.has_value());
  const at::Tensor h = at::mm(x.to(at::kDouble), weight.to(at::kDouble).t()) + bias;
  const LayerCodes plain = TopK(32, 100).propose(0, h.to(at::kFloat), 0, Watch::kNothing);
  EXPECT_TRUE(at::equal(screened->offsets, plain.offsets));
  EXPECT_TRUE(at::equal(screened->index, plain.index));
}

TEST(ScreenBound, LeavesNothingWhereNothingIsPositive) {
  const at::Tensor x = random_tensor({64, 64}, at::kFloat, 1);
  const at::Tensor weight = random_tensor({100, 64}, at::kFloat, 2);
  const auto screened = kernels::screened_topk(x, weight, at::full({100}, -1e3F), 4);
  ASSERT_TRUE(screened.has_value());
  EXPECT_EQ(screened->count(), 0);
  EXPECT_EQ(screened->tokens(), 64);
}

/// A rank's part of a layer's features: the rows in the middle of a matrix.
TEST(ScreenOfAPart, IsThatOfACopy) {
  const at::Tensor x = random_tensor({70, 96}, at::kFloat, 1);
  const at::Tensor weight = random_tensor({300, 96}, at::kFloat, 2);
  const at::Tensor bias = random_tensor({300}, at::kFloat, 3);
  const at::Tensor rows = weight.narrow(0, 100, 150);
  const at::Tensor some = bias.narrow(0, 100, 150);
  const auto part = kernels::screened_topk(x, rows, some, 8);
  const auto copy = kernels::screened_topk(x, rows.clone(), some.clone(), 8);
  ASSERT_TRUE(part.has_value() && copy.has_value());
  EXPECT_TRUE(at::equal(part->index, copy->index));
  EXPECT_TRUE(at::equal(part->value, copy->value));
}

TEST(ScreenRefusals, NumbersThatAreNotFinite) {
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
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), 3e38F}) {
    EXPECT_FALSE(kernels::screened_topk(x, weight, with(bias, bad), 4).has_value());
  }
}

/// A large common direction with next to no difference between features: the bound says nothing.
TEST(ScreenRefusals, RowsThatAreTooMuchAlike) {
  const int64_t width = 64;
  const at::Tensor x = random_tensor({64, width}, at::kFloat, 1);
  const at::Tensor weight = random_tensor({1, width}, at::kFloat, 2).expand({200, width}) +
                            1e-4 * random_tensor({200, width}, at::kFloat, 3);
  const at::Tensor bias = at::full({200}, 100.0F);
  EXPECT_FALSE(kernels::screened_topk(x, weight.contiguous(), bias, 4).has_value());
}

/// Rows as bytes on their own grids, no centre, no scale, and all products of two of them.
struct Grids {
  explicit Grids(const at::Tensor& rows)
      : bytes(at::empty(rows.sizes(), at::kChar)), values(static_cast<size_t>(rows.size(1))) {
    const at::Tensor zeros = at::zeros({rows.size(1)});
    const at::Tensor ones = at::ones({rows.size(1)});
    const kernels::RowGrid grid{zeros.const_data_ptr<float>(), ones.const_data_ptr<float>(),
                                zeros.const_data_ptr<float>()};
    for (int64_t i = 0; i < rows.size(0); ++i) {
      const auto row = kernels::row_to_bytes(rows[i].const_data_ptr<float>(), grid, rows.size(1),
                                             values.data(), bytes[i].mutable_data_ptr<int8_t>());
      steps.push_back(row.step);
      norms.push_back(std::sqrt(std::max(row.whole, row.near)));
      errors.push_back(std::sqrt(row.error));
    }
  }
  at::Tensor bytes;
  std::vector<float> values;
  std::vector<float> steps;
  std::vector<float> norms;
  std::vector<float> errors;
};

/// How many of x [1, D]'s products with weight [F, D] can reach `least`.
int64_t survivors(const at::Tensor& x, const at::Tensor& weight, double least) {
  const at::Tensor copies = x.expand({kernels::kScreenLanes, x.size(1)}).contiguous();
  const Grids inputs(copies);
  const Grids rows(weight);
  const at::Tensor exact = at::mm(rows.bytes.to(at::kDouble), inputs.bytes.to(at::kDouble).t());
  const int32_t shift = kernels::shift_for(exact.abs().max().item<double>());
  const at::Tensor products = at::round(exact / static_cast<double>(1 << shift)).to(at::kShort);
  const kernels::ScreenTokens tokens{.steps = inputs.steps.data(),
                                     .errors = inputs.errors.data(),
                                     .norms = inputs.norms.data(),
                                     .count = kernels::kScreenLanes};
  const std::vector<float> bars(kernels::kScreenLanes, std::numeric_limits<float>::infinity());
  const std::vector<float> leasts(kernels::kScreenLanes, static_cast<float>(least));
  std::vector<int32_t> found(2 * kernels::kScreenLanes);
  int64_t count = 0;
  for (int64_t f = 0; f < weight.size(0); ++f) {
    const auto i = static_cast<size_t>(f);
    const float step = std::ldexp(rows.steps[i], shift);
    const kernels::ScreenFeature feature{.products = products[f].const_data_ptr<int16_t>(),
                                         .step = step,
                                         .bias = 0.0F,
                                         .norm = rows.norms[i],
                                         .error_norm = rows.errors[i] + kernels::grid_error(step)};
    const int64_t here =
        kernels::possible_tokens(tokens, feature, bars.data(), leasts.data(), found.data());
    EXPECT_TRUE(here == 0 || here == kernels::kScreenLanes);  // all alike
    count += here == 0 ? 0 : 1;
  }
  return count;
}

/// The worst rows for the bound: what the grid loses points the way of the other side.
TEST(ScreenBound, HoldsWhenAllRoundingErrorsAdd) {
  const int64_t width = 64;
  const at::Tensor x = at::full({1, width}, 10.49F);  // rounded down to 10 where the step is 1
  const at::Tensor weight = at::full({20, width}, 3.49F);
  x.select(1, 0).fill_(127.0F);
  weight.select(1, 0).fill_(0.0F);
  weight.select(1, 1).fill_(-127.0F);
  const double exact = at::dot(x[0].to(at::kDouble), weight[0].to(at::kDouble)).item<double>();
  const double products_of_bytes = -127.0 * 10.0 + (width - 2) * 3.0 * 10.0;
  EXPECT_GT(exact, products_of_bytes + 300.0);
  EXPECT_EQ(survivors(x, weight, exact - 0.01), 20);
  // ‖x − x̂‖ ‖ŵ‖ + ‖x‖ ‖w − ŵ‖ is 1,091.
  EXPECT_EQ(survivors(x, weight, products_of_bytes + 1080.0), 20);
  EXPECT_EQ(survivors(x, weight, products_of_bytes + 1100.0), 0);
}

/// Rows that bytes hold exactly, so that all that is lost are the products' lowest bits.
TEST(ScreenBound, HoldsForWhatIsRoundedOffProducts) {
  const int64_t width = 64;
  const at::Tensor x = at::full({1, width}, 127.0F);
  const at::Tensor weight = at::full({1, width}, 127.0F);
  x.select(1, 0).fill_(1.0F);
  weight.select(1, 0).fill_(110.0F);
  const double exact = 63.0 * 127.0 * 127.0 + 110.0;
  const double kept = std::floor(exact / 32.0 + 0.5) * 32.0;  // with the shift that it needs
  ASSERT_EQ(kernels::shift_for(exact), 5);
  ASSERT_GT(exact - kept, 10.0);
  EXPECT_EQ(survivors(x, weight, exact - 1.0), 1);
}

/// About 2.3 times `kept` on average; this is one token, so there is room above that.
TEST(ScreenBound, LeavesFewSurvivorsOfRandomRows) {
  const int64_t kept = 32;
  const at::Tensor x = random_tensor({1, 576}, at::kFloat, 1);
  const at::Tensor weight = random_tensor({3168, 576}, at::kFloat, 2);
  const at::Tensor h = at::mm(x.to(at::kDouble), weight.to(at::kDouble).t())[0];
  const double least = std::get<0>(h.sort(0, true))[kept - 1].item<double>();
  const int64_t found = survivors(x, weight, least - 1e-4);
  EXPECT_GE(found, kept);
  EXPECT_LE(found, 4 * kept);
}

/// Bars from maxima: at least `kept` of them reach it, about so many; ties and negative ones, too.
TEST(ScreenBars, AreReachedByAtLeastTheKept) {
  const int64_t groups = 70;
  const int64_t tokens = 21;
  at::Tensor maxima = random_tensor({groups, tokens}, at::kFloat, 1);
  maxima.select(1, 3).fill_(0.25F);                               // all tied
  maxima.select(1, 4).abs_().neg_();                              // none positive
  maxima.select(1, 5).abs_().neg_().narrow(0, 9, 4).fill_(1.0F);  // few, and tied
  maxima.select(1, 6)[2].fill_(1e8F);                             // one far beyond
  for (const int64_t kept : {int64_t{1}, int64_t{5}, int64_t{20}, groups}) {
    std::vector<float> bars(tokens);
    kernels::bars_from_maxima(maxima.const_data_ptr<float>(), groups, tokens, kept, bars.data());
    for (int64_t t = 0; t < tokens; ++t) {
      const float bar = bars[static_cast<size_t>(t)];
      const int64_t positive = maxima.select(1, t).gt(0).sum().item<int64_t>();
      const int64_t reached = maxima.select(1, t).ge(bar).sum().item<int64_t>();
      if (positive < kept) {
        EXPECT_EQ(bar, 0.0F) << "token " << t;
      } else {
        EXPECT_GE(bar, 0.0F);
        EXPECT_GE(reached, kept) << "token " << t;
        EXPECT_TRUE(t == 3 || t == 5 || reached <= kept + kept / 8) << "token " << t;
      }
    }
  }
}

/// All zeros are zeros on any grid, and a row of one number is exact but for the float32 step.
TEST(ByteGrids, OfZerosAndOfOneNumberLoseNextToNothing) {
  for (const float value : {0.0F, -3.5F}) {
    const Grids grids(at::full({1, 20}, value));
    EXPECT_LE(grids.errors[0], 1e-5F);
    EXPECT_TRUE(grids.bytes.eq(value == 0.0F ? 0 : -127).all().item<bool>());
  }
}

}  // namespace
}  // namespace crossloom::architectures::test
