// Sizes that kernels are tested at, and how far their sums may be from exact ones.
#pragma once

#include "tests/architectures/staged_step.h"
#include "tests/support/random_codes.h"

namespace crossloom::architectures::test {

using Case = crossloom::test::CodeSizes;

/// Whole vectors, tails of every kind, several panels, no codes at all.
inline constexpr Case kCases[] = {{3, 4, 1, 2},      {5, 7, 15, 7},      {5, 7, 16, 3},
                                  {9, 30, 63, 5},    {9, 30, 64, 5},     {40, 30, 65, 10},
                                  {40, 30, 145, 30}, {33, 2000, 320, 9}, {1, 1, 576, 1},
                                  {6, 5, 64, 0},     {2500, 20, 200, 4}};

/// A view with unit column stride whose rows are far apart, as in fat rows.
inline at::Tensor strided(int64_t rows, int64_t columns, uint64_t key, at::ScalarType type) {
  return random_tensor({rows, 3, columns + 5}, type, key).select(1, 1).narrow(1, 2, columns);
}

/// Of a sum, relative to the sum of its terms' magnitudes.
inline double rounding_of(at::ScalarType type) {
  return type == at::kFloat ? 1e-5 : 1e-13;
}

/// Largest |got − exact| / magnitudes; all of one shape, the latter two in float64.
inline double relative_error(const at::Tensor& got, const at::Tensor& exact,
                             const at::Tensor& magnitudes) {
  if (got.numel() == 0) {
    return 0.0;
  }
  const at::Tensor error = (got.to(at::kDouble) - exact).abs();
  return (error / magnitudes.clamp_min(1e-300)).max().item<double>();
}

/// A product of matrices in float64, and the sums of its terms' magnitudes.
struct Product {
  at::Tensor value;
  at::Tensor magnitudes;

  Product(const at::Tensor& a, const at::Tensor& b)
      : value(at::mm(a.to(at::kDouble), b.to(at::kDouble))),
        magnitudes(at::mm(a.to(at::kDouble).abs(), b.to(at::kDouble).abs())) {}
  Product plus(const at::Tensor& more) const {
    Product sum = *this;
    sum.value = value + more.to(at::kDouble);
    sum.magnitudes = magnitudes + more.to(at::kDouble).abs();
    return sum;
  }
  Product plus(const Product& more) const {
    Product sum = *this;
    sum.value = value + more.value;
    sum.magnitudes = magnitudes + more.magnitudes;
    return sum;
  }
};

inline double relative_error(const at::Tensor& got, const Product& exact) {
  return relative_error(got, exact.value, exact.magnitudes);
}

}  // namespace crossloom::architectures::test
