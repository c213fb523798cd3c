// FVU: worked values, its gradient, and that it adds up over tokens and columns.
#include "architectures/losses.h"

#include <gtest/gtest.h>

#include "common/error.h"
#include "tests/architectures/staged_step.h"

namespace crossloom::architectures::test {
namespace {

double fvu(const at::Tensor& y, const at::Tensor& y_hat) {
  const double energy = centred_energy(y, target_sum(y) / static_cast<double>(y.size(0)));
  at::Tensor gradient;
  return squared_error_backward(y, y_hat, energy, gradient) / energy;
}

TEST(Losses, WorkedValues) {
  const at::Tensor y = at::tensor({0.0, 2.0}, at::kDouble).unsqueeze(1);  // D = 1
  EXPECT_EQ(fvu(y, at::tensor({0.0, 1.0}, at::kDouble).unsqueeze(1)), 0.5);
  EXPECT_EQ(fvu(y, y - 3.0), 9.0);           // a constant offset is seen
  EXPECT_EQ(fvu(y, at::ones_like(y)), 1.0);  // the mean predictor
}

TEST(Losses, GradientFollowsTheFormula) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    const at::Tensor y = random_tensor({40, 9}, type, 1);
    const at::Tensor y_hat = random_tensor({40, 9}, type, 2);
    at::Tensor gradient;
    const double error = squared_error_backward(y, y_hat, 3.0, gradient);
    const at::Tensor difference = y.to(at::kDouble) - y_hat.to(at::kDouble);
    EXPECT_NEAR(error, difference.square().sum().item<double>(), 1e-12 * error);
    EXPECT_EQ(gradient.scalar_type(), type);
    EXPECT_LE(distance(gradient.to(at::kDouble), difference * (-2.0 / 3.0)), 1e-7);
  }
}

TEST(Losses, AddUpOverTokensAndColumns) {
  const at::Tensor y = random_tensor({10, 12}, at::kDouble, 1);
  const at::Tensor y_hat = random_tensor({10, 12}, at::kDouble, 2);
  at::Tensor whole;
  at::Tensor part;
  const double total = squared_error_backward(y, y_hat, 2.0, whole);
  double sum = 0.0;
  for (const int64_t token : {0, 4}) {
    for (const int64_t column : {0, 6}) {
      const auto cut = [&](const at::Tensor& matrix) {
        return matrix.narrow(0, token, token == 0 ? 4 : 6).narrow(1, column, 6);
      };
      sum += squared_error_backward(cut(y), cut(y_hat), 2.0, part);
      EXPECT_TRUE(at::equal(part, cut(whole)));
    }
  }
  EXPECT_NEAR(sum, total, 1e-12);
  const at::Tensor mean = target_sum(y) / 10.0;
  EXPECT_NEAR(centred_energy(y.narrow(0, 0, 4), mean) + centred_energy(y.narrow(0, 4, 6), mean),
              centred_energy(y, mean), 1e-12);
}

TEST(Losses, TargetsWithoutVarianceAreRefused) {
  const at::Tensor y = at::ones({3, 2}, at::kFloat);
  at::Tensor gradient;
  const double energy = centred_energy(y, target_sum(y) / 3.0);
  EXPECT_EQ(energy, 0.0);
  EXPECT_THROW(squared_error_backward(y, y, energy, gradient), DataError);
}

}  // namespace
}  // namespace crossloom::architectures::test
