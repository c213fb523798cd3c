// The pass over weight rows by feature against dense products in float64: gradients, reach, what is
// delivered, stored halves, and every instruction set.
#include "architectures/kernels/feature_pass.h"

#include <gtest/gtest.h>

#include "architectures/kernels/panels.h"
#include "tests/architectures/kernel_cases.h"
#include "tests/support/instruction_sets.h"

namespace crossloom::architectures::test {
namespace {

class FeaturePasses : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  double rounding() const { return rounding_of(GetParam()); }
};

/// Values [nnz] in the lists' order as a matrix [T, F].
at::Tensor matrix_of(LayerCodes codes, const kernels::FeatureLists& lists, const at::Tensor& listed,
                     int64_t features) {
  codes.value = at::empty_like(listed).index_copy_(0, lists.entry, listed);
  return dense(codes, features);
}

/// Reach of the codes' entries; elsewhere 0.
Product reach_of(const at::Tensor& rows, const at::Tensor& table, const at::Tensor& matrix) {
  Product reach(rows, table.t());
  reach.value = reach.value * matrix.ne(0);
  reach.magnitudes = reach.magnitudes * matrix.ne(0);
  return reach;
}

TEST_P(FeaturePasses, EqualDenseProducts) {
  for (const Case& c : kCases) {
    const LayerCodes codes = crossloom::test::random_codes(c, 1, GetParam());
    const at::Tensor rows = strided(c.tokens, c.columns, 2, GetParam());
    const at::Tensor table = strided(c.features, c.columns, 5, GetParam());
    const at::Tensor storage = random_tensor({c.features, 2, c.columns}, GetParam(), 3);
    const at::Tensor other_target = storage.select(1, 0).clone();
    const at::Tensor gradient = storage.select(1, 1);
    const at::Tensor matrix = dense(codes, c.features);
    const Product expected = Product(matrix.t(), rows).plus(gradient);
    const auto lists = kernels::group_by_feature(codes, codes.value, c.features);
    const at::Tensor reach = at::ones_like(codes.value);
    kernels::run_feature_passes(
        {{.lists = lists, .rows = rows, .gradient = gradient, .table = table, .reach = reach}});
    EXPECT_LE(relative_error(gradient, expected), rounding());
    EXPECT_TRUE(at::equal(storage.select(1, 0), other_target)) << "wrote into a neighbour's row";
    EXPECT_LE(relative_error(matrix_of(codes, lists, reach, c.features),
                             reach_of(rows, table, matrix).plus(matrix.ne(0))),
              rounding());
    const at::Tensor bias = at::zeros({c.features}, GetParam());
    kernels::add_weight_sums(codes, codes.value, bias);
    EXPECT_LE(relative_error(bias.unsqueeze(0), Product(at::ones({1, c.tokens}), matrix)),
              rounding());
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

TEST_P(FeaturePasses, DeliverEveryElementOnce) {
  for (const Case& c : kCases) {
    const LayerCodes codes = crossloom::test::random_codes(c, 1, GetParam());
    const at::Tensor rows = strided(c.tokens, c.columns, 2, GetParam());
    const at::Tensor start = random_tensor({c.features}, GetParam(), 6);
    const at::Tensor start_row = random_tensor({c.columns}, GetParam(), 7);
    const at::Tensor table = random_tensor({c.features, c.columns}, GetParam(), 5);
    const Product sums(dense(codes, c.features).t(), rows);
    const auto lists = kernels::group_by_feature(codes, codes.value, c.features);
    for (const bool with_table : {false, true}) {
      for (const bool with_start : {false, true}) {
        const at::Tensor parameter = at::zeros({2, c.features, c.columns}, GetParam());
        CollectingStretches first(parameter[0]);
        CollectingStretches second(parameter.view({-1}));
        kernels::FeaturePass pass{
            .lists = lists, .rows = rows, .stretches = &first, .row_stride = c.columns};
        if (with_table) {
          pass.table = table;
          pass.reach = at::zeros_like(codes.value);
        }
        if (with_start) {
          pass.start = start;
          pass.start_row = with_table ? at::Tensor() : start_row;
        }
        kernels::run_feature_passes({pass});
        EXPECT_TRUE(first.took_every_element_once());
        pass.stretches = &second;
        pass.first_element = c.features * c.columns;
        kernels::run_feature_passes({pass});
        const at::Tensor scaled = with_table ? table : start_row.unsqueeze(0);
        const Product expected =
            with_start ? sums.plus(start.to(at::kDouble).unsqueeze(1) * scaled.to(at::kDouble))
                       : sums;
        EXPECT_LE(relative_error(parameter[0], expected), rounding());
        EXPECT_TRUE(same_bits(parameter[0], parameter[1]));
      }
    }
  }
}

TEST_P(FeaturePasses, WithoutGradientGiveTheSameReach) {
  for (const Case& c : kCases) {
    const LayerCodes codes = crossloom::test::random_codes(c, 1, GetParam());
    const at::Tensor rows = strided(c.tokens, c.columns, 2, GetParam());
    const at::Tensor table = strided(c.features, c.columns, 5, GetParam());
    const auto lists = kernels::group_by_feature(codes, codes.value, c.features);
    const at::Tensor gradient = at::zeros({c.features, c.columns}, GetParam());
    const at::Tensor reach = at::zeros_like(codes.value);
    const at::Tensor alone = at::zeros_like(codes.value);
    kernels::run_feature_passes(
        {{.lists = lists, .rows = rows, .gradient = gradient, .table = table, .reach = reach}});
    kernels::run_feature_passes({{.lists = lists, .rows = rows, .table = table, .reach = alone}});
    EXPECT_TRUE(same_bits(reach, alone));
  }
}

TEST_P(FeaturePasses, OverPanelsGiveTheSameBits) {
  for (const Case& c : kCases) {
    const LayerCodes codes = crossloom::test::random_codes(c, 1, GetParam());
    const at::Tensor rows = strided(c.tokens, c.columns, 2, GetParam());
    const at::Tensor table = strided(c.features, c.columns, 5, GetParam());
    const auto lists = kernels::group_by_feature(codes, codes.value, c.features);
    std::vector<at::Tensor> gradients;
    std::vector<at::Tensor> reaches;
    for (const kernels::Panels& panels :
         {kernels::Panels(), kernels::panels_of(rows, kernels::PanelUse::kGradients),
          kernels::panels_of(rows, kernels::PanelUse::kReach)}) {
      gradients.push_back(at::zeros({c.features, c.columns}, GetParam()));
      reaches.push_back(at::zeros_like(codes.value));
      const at::Tensor read = panels.values.defined() ? at::zeros_like(rows) : rows;  // shapes only
      kernels::run_feature_passes({{.lists = lists,
                                    .rows = read,
                                    .panels = panels,
                                    .gradient = gradients.back(),
                                    .table = table,
                                    .reach = reaches.back()}});
    }
    EXPECT_TRUE(same_bits(gradients[0], gradients[1]));
    EXPECT_TRUE(same_bits(reaches[0], reaches[1]));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, FeaturePasses, ::testing::Values(at::kFloat, at::kDouble));

/// A table in bfloat16 counts as the float32 table of the same numbers, bit for bit.
TEST(StoredFeaturePasses, CountAsTheirNumbers) {
  for (const Case& c : kCases) {
    const LayerCodes codes = crossloom::test::random_codes(c, 1, at::kFloat);
    const at::Tensor stored =
        random_tensor({c.features, c.columns}, at::kFloat, 2).to(at::kBFloat16);
    const at::Tensor table = stored.to(at::kFloat);
    const at::Tensor rows = random_tensor({c.tokens, c.columns}, at::kFloat, 3);
    const auto lists = kernels::group_by_feature(codes, codes.value, c.features);
    const auto reach_of = [&](const at::Tensor& weights, const at::Tensor& gradient) {
      const at::Tensor reach = at::zeros_like(codes.value);
      kernels::run_feature_passes(
          {{.lists = lists, .rows = rows, .gradient = gradient, .table = weights, .reach = reach}});
      return reach;
    };
    const at::Tensor gradient = at::zeros_like(table);
    const at::Tensor gradient_stored = at::zeros_like(table);
    EXPECT_TRUE(same_bits(reach_of(table, gradient), reach_of(stored, gradient_stored)));
    EXPECT_TRUE(same_bits(gradient, gradient_stored));
    EXPECT_TRUE(same_bits(reach_of(table, {}), reach_of(stored, {})));
  }
}

/// Gradient and reach from a table of type `stored`, and the reach alone.
void check_instruction_set(at::ScalarType type, at::ScalarType stored) {
  const Case c{40, 30, 145, 12};
  const LayerCodes codes = crossloom::test::random_codes(c, 1, type);
  const at::Tensor rows = random_tensor({c.tokens, c.columns}, type, 2);
  const at::Tensor table = random_tensor({c.features, c.columns}, type, 3).to(stored);
  const at::Tensor matrix = dense(codes, c.features);
  const auto lists = kernels::group_by_feature(codes, codes.value, c.features);
  const at::Tensor gradient = at::zeros({c.features, c.columns}, type);
  const at::Tensor reach = at::zeros_like(codes.value);
  const at::Tensor alone = at::zeros_like(codes.value);
  kernels::run_feature_passes(
      {{.lists = lists, .rows = rows, .gradient = gradient, .table = table, .reach = reach}});
  kernels::run_feature_passes({{.lists = lists, .rows = rows, .table = table, .reach = alone}});
  EXPECT_LE(relative_error(gradient, Product(matrix.t(), rows)), rounding_of(type));
  EXPECT_LE(
      relative_error(matrix_of(codes, lists, reach, c.features), reach_of(rows, table, matrix)),
      rounding_of(type));
  EXPECT_TRUE(same_bits(reach, alone));
  const at::Tensor without_table = at::zeros_like(gradient);
  kernels::run_feature_passes({{.lists = lists, .rows = rows, .gradient = without_table}});
  EXPECT_TRUE(same_bits(gradient, without_table));
}

TEST(FeaturePass, EveryInstructionSetEqualsDenseProducts) {
  crossloom::test::for_every_instruction_set([] {
    check_instruction_set(at::kFloat, at::kFloat);
    check_instruction_set(at::kFloat, at::kBFloat16);
    check_instruction_set(at::kDouble, at::kDouble);
  });
}

}  // namespace
}  // namespace crossloom::architectures::test
