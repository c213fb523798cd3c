// Adam on a slice of the flat parameter vector (Kingma & Ba 2015, with bias correction):
//
//   g ← scale · g;  m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²
//   w ← w − η · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)
//
// Element-wise, so its bits depend neither on threads nor on how the vector is sliced.
#pragma once

#include "common/tensor.h"
#include "trainer/flat_kernels.h"
#include "trainer/train_options.h"

namespace crossloom::trainer {

/// What one update multiplies by; `step` counts from 1.
template <typename Real>
AdamCoefficients<Real> adam_coefficients(const AdamOptions& options, int64_t step,
                                         double learning_rate, double gradient_scale);

class Adam {
 public:
  /// State for a slice of `count` elements of `type` (float32 or float64).
  Adam(AdamOptions options, int64_t count, at::ScalarType type);

  /// One update in place of elements [begin, begin + weights.numel()) of the slice. `step` counts
  /// from 1; `gradient_scale` is the clip factor.
  void update(const at::Tensor& weights, const at::Tensor& gradient, int64_t begin, int64_t step,
              double learning_rate, double gradient_scale);

  const AdamOptions& options() const { return options_; }
  /// First and second moments, [count].
  const at::Tensor& first_moment() const { return m_; }
  const at::Tensor& second_moment() const { return v_; }

 private:
  AdamOptions options_;
  at::Tensor m_, v_;
};

}  // namespace crossloom::trainer
