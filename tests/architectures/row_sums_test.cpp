// Sums over rows in float64 against LibTorch's, for every kind of number and instruction set.
#include "architectures/kernels/row_sums.h"

#include <gtest/gtest.h>

#include "tests/architectures/kernel_cases.h"
#include "tests/support/instruction_sets.h"

namespace crossloom::architectures::test {
namespace {

constexpr int64_t kLengths[] = {0, 1, 7, 8, 33, 64, 577};

double total(const at::Tensor& terms) {
  return terms.sum().item<double>();
}

/// Sums of positive terms: in whatever order, they agree to a few roundings of float64.
void expect_sum(double value, double expected) {
  EXPECT_NEAR(value, expected, 1e-13 * expected);
}

template <typename Real>
void check_row(int64_t n, at::ScalarType type) {
  const at::Tensor row = random_tensor({n}, type, 1);
  const at::Tensor other = random_tensor({n}, type, 2);
  const at::Tensor centre = random_tensor({n}, at::kDouble, 3);
  const at::Tensor wide = row.to(at::kDouble);
  const auto* data = row.const_data_ptr<Real>();
  expect_sum(kernels::square_sum(data, n), total(wide.square()));
  expect_sum(kernels::squared_deviation(data, centre.const_data_ptr<double>(), n),
             total((wide - centre).square()));
  const at::Tensor error = wide - other.to(at::kDouble);
  const at::Tensor gradient = at::empty_like(row);
  expect_sum(kernels::squared_error(data, other.const_data_ptr<Real>(), 0.3, n,
                                    gradient.mutable_data_ptr<Real>()),
             total(error.square()));
  EXPECT_TRUE(at::equal(gradient, (error * 0.3).to(type)));
  const at::Tensor sums = centre.clone();
  kernels::add_row(data, n, sums.mutable_data_ptr<double>());
  EXPECT_TRUE(at::equal(sums, centre + wide));
}

TEST(RowSums, EqualFloat64Sums) {
  crossloom::test::for_every_instruction_set([] {
    for (const int64_t n : kLengths) {
      check_row<float>(n, at::kFloat);
      check_row<double>(n, at::kDouble);
      const at::Tensor half = random_tensor({n}, at::kFloat, 4).to(at::kBFloat16);
      expect_sum(
          kernels::square_sum(static_cast<const kernels::bfloat16_t*>(half.const_data_ptr()), n),
          total(half.to(at::kDouble).square()));
    }
  });
}

}  // namespace
}  // namespace crossloom::architectures::test
