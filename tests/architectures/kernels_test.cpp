// Fast kernel bodies against the slow obvious version: a dense product in float64.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/feature_pass.h"
#include "architectures/kernels/reductions.h"
#include "architectures/kernels/sparse_rows.h"
#include "tests/architectures/staged_step.h"
#include "tests/support/instruction_sets.h"

namespace crossloom::architectures::test {
namespace {

struct Case {
  int64_t tokens;
  int64_t features;
  int64_t columns;
  int64_t per_token;  // codes of a token: 0 … per_token, changing from token to token
};

/// Whole vectors, tails of every kind, several panels, no codes at all.
const Case kCases[] = {{3, 4, 1, 2},   {5, 7, 15, 7},    {5, 7, 16, 3},     {9, 30, 63, 5},
                       {9, 30, 64, 5}, {40, 30, 65, 10}, {40, 30, 145, 30}, {33, 2000, 320, 9},
                       {1, 1, 576, 1}, {6, 5, 64, 0},    {2500, 20, 200, 4}};

/// Codes with strictly ascending features spread over F; row t has t mod (per_token + 1) of them.
LayerCodes make_codes(const Case& c, at::ScalarType type) {
  std::vector<int64_t> offsets = {0};
  std::vector<int32_t> index;
  for (int64_t t = 0; t < c.tokens; ++t) {
    const int64_t count = std::min(t % (c.per_token + 1), c.features);
    for (int64_t j = 0; j < count; ++j) {
      index.push_back(static_cast<int32_t>(j * c.features / count));
    }
    offsets.push_back(static_cast<int64_t>(index.size()));
  }
  return {.offsets = at::tensor(offsets, at::kLong),
          .index = at::tensor(index, at::kInt),
          .value = random_tensor({static_cast<int64_t>(index.size())}, type, 1)};
}

class Kernels : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  /// Sums of at most a few thousand products of size 1.
  double tolerance() const { return GetParam() == at::kFloat ? 2e-4 : 1e-11; }
  /// A view with unit column stride whose rows are far apart, as in fat rows.
  at::Tensor strided(int64_t rows, int64_t columns, uint64_t key) const {
    return random_tensor({rows, 3, columns + 5}, GetParam(), key)
        .select(1, 1)
        .narrow(1, 2, columns);
  }
};

TEST_P(Kernels, AddRowsEqualsADenseProduct) {
  for (const Case& c : kCases) {
    const LayerCodes codes = make_codes(c, GetParam());
    const at::Tensor table = strided(c.features, c.columns, 2);
    const at::Tensor y = random_tensor({c.tokens, c.columns}, GetParam(), 3);
    const at::Tensor expected =
        y.to(at::kDouble) + at::mm(dense(codes, c.features).to(at::kDouble), table.to(at::kDouble));
    kernels::add_rows(codes, table, y, {0, c.tokens});
    EXPECT_LE(distance(y.to(at::kDouble), expected), tolerance()) << "columns " << c.columns;
  }
}

/// Puts stretches where the parameter's gradient would be; every element once.
class CollectingStretches final : public GradientStretches {
 public:
  explicit CollectingStretches(const at::Tensor& into)
      : into_(into), taken_(at::zeros_like(into)) {}
  void take(int64_t first, int64_t count, const float* gradient) override {
    put(first, count, gradient);
  }
  void take(int64_t first, int64_t count, const double* gradient) override {
    put(first, count, gradient);
  }
  bool took_every_element_once() const { return taken_.eq(1).all().item<bool>(); }

 private:
  template <typename Real>
  void put(int64_t first, int64_t count, const Real* gradient) {
    for (int64_t i = first; i < first + count; ++i) {
      into_.mutable_data_ptr<Real>()[i] = gradient[i - first];
      taken_.mutable_data_ptr<Real>()[i] += 1;
    }
  }

  at::Tensor into_;
  at::Tensor taken_;
};

TEST_P(Kernels, AFeaturePassEqualsDenseProducts) {
  for (const Case& c : kCases) {
    LayerCodes codes = make_codes(c, GetParam());
    const at::Tensor rows = strided(c.tokens, c.columns, 2);
    const at::Tensor table = strided(c.features, c.columns, 5);
    const at::Tensor storage = random_tensor({c.features, 2, c.columns}, GetParam(), 3);
    const at::Tensor other_target = storage.select(1, 0).clone();
    const at::Tensor gradient = storage.select(1, 1);
    const at::Tensor matrix = dense(codes, c.features).to(at::kDouble);
    const at::Tensor expected = gradient.to(at::kDouble) + at::mm(matrix.t(), rows.to(at::kDouble));
    const at::Tensor expected_reach =
        (at::mm(rows.to(at::kDouble), table.to(at::kDouble).t()) + 1.0) * matrix.ne(0);
    const auto lists = kernels::group_by_feature(codes, codes.value, c.features);
    const at::Tensor reach = at::ones_like(codes.value);
    kernels::run_feature_passes(
        {{.lists = lists, .rows = rows, .gradient = gradient, .table = table, .reach = reach}});
    EXPECT_LE(distance(gradient.to(at::kDouble), expected), tolerance());
    EXPECT_TRUE(at::equal(storage.select(1, 0), other_target)) << "wrote into a neighbour's row";
    codes.value = at::empty_like(reach).index_copy_(0, lists.entry, reach);
    EXPECT_LE(distance(dense(codes, c.features).to(at::kDouble), expected_reach), tolerance());
    const at::Tensor bias = at::zeros({c.features}, GetParam());
    kernels::add_weight_sums(lists, bias);
    EXPECT_LE(distance(bias.to(at::kDouble), matrix.sum(0)), tolerance());
  }
}

TEST_P(Kernels, AFeaturePassDeliversEveryElementOnce) {
  for (const Case& c : kCases) {
    const LayerCodes codes = make_codes(c, GetParam());
    const at::Tensor rows = strided(c.tokens, c.columns, 2);
    const at::Tensor start = random_tensor({c.features}, GetParam(), 6);
    const at::Tensor start_row = random_tensor({c.columns}, GetParam(), 7);
    const at::Tensor table = random_tensor({c.features, c.columns}, GetParam(), 5);
    const at::Tensor sums =
        at::mm(dense(codes, c.features).to(at::kDouble).t(), rows.to(at::kDouble));
    const auto lists = kernels::group_by_feature(codes, codes.value, c.features);
    for (const bool with_table : {false, true}) {
      for (const bool with_start : {false, true}) {
        const at::Tensor parameter = at::zeros({2, c.features, c.columns}, GetParam());
        CollectingStretches first(parameter[0]);
        CollectingStretches second(parameter.view({-1}));
        kernels::FeaturePass pass{.lists = lists,
                                  .rows = rows,
                                  .table = with_table ? table : at::Tensor(),
                                  .reach = with_table ? at::zeros_like(codes.value) : at::Tensor(),
                                  .start = with_start ? start : at::Tensor(),
                                  .start_row = with_start && !with_table ? start_row : at::Tensor(),
                                  .stretches = &first,
                                  .row_stride = c.columns};
        kernels::run_feature_passes({pass});
        EXPECT_TRUE(first.took_every_element_once());
        pass.stretches = &second;
        pass.first_element = c.features * c.columns;
        kernels::run_feature_passes({pass});
        at::Tensor expected = sums;
        if (with_start) {
          const at::Tensor& scaled = with_table ? table : start_row;
          expected = sums + start.to(at::kDouble).unsqueeze(1) * scaled.to(at::kDouble);
        }
        EXPECT_LE(distance(parameter[0].to(at::kDouble), expected), tolerance());
        EXPECT_TRUE(same_bits(parameter[0], parameter[1]));
      }
    }
  }
}

/// A table in bfloat16 counts as the float32 table of the same numbers, bit for bit.
TEST(SparseKernels, StoredHalvesCountAsTheirNumbers) {
  for (const Case& c : kCases) {
    const LayerCodes codes = make_codes(c, at::kFloat);
    const at::Tensor stored =
        random_tensor({c.features, c.columns}, at::kFloat, 2).to(at::kBFloat16);
    const at::Tensor table = stored.to(at::kFloat);
    const at::Tensor rows = random_tensor({c.tokens, c.columns}, at::kFloat, 3);
    const at::Tensor y = rows.clone();
    const at::Tensor y_stored = rows.clone();
    kernels::add_rows(codes, table, y, {0, c.tokens});
    kernels::add_rows(codes, stored, y_stored, {0, c.tokens});
    EXPECT_LE(distance(y, y_stored), 1e-5);  // panels, and so the ends of vectors, may differ
    const auto lists = kernels::group_by_feature(codes, codes.value, c.features);
    const auto run = [&](const at::Tensor& weights, const at::Tensor& gradient) {
      const at::Tensor reach = at::zeros_like(codes.value);
      kernels::run_feature_passes(
          {{.lists = lists, .rows = rows, .gradient = gradient, .table = weights, .reach = reach}});
      return reach;
    };
    const at::Tensor gradient = at::zeros_like(table);
    const at::Tensor gradient_stored = at::zeros_like(table);
    EXPECT_TRUE(same_bits(run(table, gradient), run(stored, gradient_stored)));
    EXPECT_TRUE(same_bits(gradient, gradient_stored));
  }
}

TEST_P(Kernels, ColumnSumsEqualAFloat64Sum) {
  const at::Tensor rows = strided(300, 270, 4);
  EXPECT_LE(distance(kernels::column_sums(rows), rows.to(at::kDouble).sum(0)), 1e-12);
}

TEST_P(Kernels, PanelsDoNotChangeTheBitsOfASum) {
  const Case c{20, 50, 320, 10};
  const LayerCodes codes = make_codes(c, GetParam());
  const at::Tensor table = random_tensor({c.features, c.columns}, GetParam(), 2);
  const at::Tensor whole = at::zeros({c.tokens, c.columns}, GetParam());
  const at::Tensor parts = at::zeros_like(whole);
  kernels::add_rows(codes, table, whole, {0, c.tokens});
  for (int64_t begin = 0; begin < c.columns; begin += kernels::kColumnUnit) {
    kernels::add_rows(codes, table.narrow(1, begin, kernels::kColumnUnit),
                      parts.narrow(1, begin, kernels::kColumnUnit), {0, c.tokens});
  }
  EXPECT_TRUE(same_bits(whole, parts));
}

template <typename Real, typename Stored>
void check_row_kernels(double tolerance) {
  const std::vector<int32_t> index = {4, 0, 7, 7, 2};
  const auto count = static_cast<int64_t>(index.size());
  for (const int64_t n : {0, 1, 7, 16, 31, 64, 100, 333}) {
    const int64_t stride = n + 3;
    const auto type = c10::CppTypeToScalarType<Real>::value;
    const bool is_half = !std::is_same_v<Real, Stored>;
    const at::Tensor table = random_tensor({8, stride}, type, 1).to(is_half ? at::kBFloat16 : type);
    const at::Tensor weight = random_tensor({count}, type, 2);
    const at::Tensor x = random_tensor({n}, type, 3);
    const at::Tensor rows =
        table.index_select(0, at::tensor(index, at::kInt)).narrow(1, 0, n).to(at::kDouble);
    const at::Tensor sum = x.to(at::kDouble) + at::mv(rows.t(), weight.to(at::kDouble));
    const at::Tensor dots = weight.to(at::kDouble) + at::mv(rows, x.to(at::kDouble));
    const auto* stored = kernels::stored_data<Stored>(table);
    const at::Tensor y = x.clone();
    const at::Tensor out = weight.clone();
    kernels::gather_add(count, index.data(), weight.const_data_ptr<Real>(), stored, stride, n,
                        y.mutable_data_ptr<Real>());
    kernels::gather_dot(count, index.data(), stored, stride, n, x.const_data_ptr<Real>(),
                        out.mutable_data_ptr<Real>());
    EXPECT_LE(distance(y.to(at::kDouble), sum), tolerance) << "n " << n;
    EXPECT_LE(distance(out.to(at::kDouble), dots), tolerance) << "n " << n;
  }
}

TEST(RowKernels, EveryInstructionSetEqualsPlainSums) {
  crossloom::test::for_every_instruction_set([] {
    check_row_kernels<float, float>(1e-5);
    check_row_kernels<float, kernels::bfloat16_t>(1e-5);
    check_row_kernels<double, double>(1e-13);
  });
}

TEST(FeaturePasses, EveryInstructionSetEqualsDenseProducts) {
  const Case c{40, 30, 145, 12};
  const LayerCodes codes = make_codes(c, at::kFloat);
  const at::Tensor rows = random_tensor({c.tokens, c.columns}, at::kFloat, 2);
  const at::Tensor expected =
      at::mm(dense(codes, c.features).to(at::kDouble).t(), rows.to(at::kDouble));
  const auto lists = kernels::group_by_feature(codes, codes.value, c.features);
  crossloom::test::for_every_instruction_set([&] {
    const at::Tensor gradient = at::zeros({c.features, c.columns}, at::kFloat);
    kernels::run_feature_passes({{.lists = lists, .rows = rows, .gradient = gradient}});
    EXPECT_LE(distance(gradient.to(at::kDouble), expected), 2e-4);
  });
}

INSTANTIATE_TEST_SUITE_P(Types, Kernels, ::testing::Values(at::kFloat, at::kDouble));

TEST(SparseKernels, GroupsAscendByToken) {
  const LayerCodes codes{.offsets = at::tensor({0, 2, 3, 5}, at::kLong),
                         .index = at::tensor({1, 3, 3, 0, 3}, at::kInt),
                         .value = at::tensor({10.0, 11.0, 12.0, 13.0, 14.0}, at::kDouble)};
  const auto lists = kernels::group_by_feature(codes, codes.value, 4);
  EXPECT_TRUE(at::equal(lists.offsets, at::tensor({0, 1, 2, 2, 5}, at::kLong)));
  EXPECT_TRUE(at::equal(lists.token, at::tensor({2, 0, 0, 1, 2}, at::kInt)));
  EXPECT_TRUE(at::equal(lists.weight, at::tensor({13.0, 10.0, 11.0, 12.0, 14.0}, at::kDouble)));
  EXPECT_THROW(kernels::group_by_feature(codes, codes.value, 3), InternalError);
}

TEST(SparseKernels, PanelsFitTheBudgetOrTakeAllColumns) {
  EXPECT_EQ(kernels::panel_columns(576, 576, 4) % kernels::kColumnUnit, 0);
  EXPECT_EQ(kernels::panel_columns(10, 576, 4), 576);
  EXPECT_EQ(kernels::panel_columns(1 << 20, 576, 4), 576);  // not even one unit fits
}

TEST(SparseKernels, OtherScalarTypesAndShapesAreRefused) {
  const LayerCodes codes = make_codes({4, 6, 8, 2}, at::kFloat);
  const at::Tensor table = at::zeros({6, 8}, at::kFloat);
  const kernels::Range all{0, 4};
  EXPECT_THROW(kernels::add_rows(codes, table, at::zeros({5, 8}, at::kFloat), all), InternalError);
  EXPECT_THROW(kernels::add_rows(codes, table, at::zeros({4, 8}, at::kDouble), all), InternalError);
  EXPECT_THROW(kernels::add_rows(codes, table.t(), at::zeros({4, 6}, at::kFloat), all),
               InternalError);
}

}  // namespace
}  // namespace crossloom::architectures::test
