// Adam (Kingma & Ba 2015, with bias correction) and its exact moments:
//
//   g ← scale · g;  m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²
//   w ← w − η · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)
//
// Element-wise, so its bits depend neither on threads nor on how a vector is cut. What applies it
// is in application.h.
#pragma once

#include "common/tensor.h"
#include "trainer/flat_kernels.h"
#include "trainer/flat_layout.h"
#include "trainer/train_options.h"

namespace crossloom::trainer {

/// What one update multiplies by; `step` counts from 1.
template <typename Real>
AdamCoefficients<Real> adam_coefficients(const AdamOptions& options, int64_t step,
                                         double learning_rate, double gradient_scale);

/// The moments of what a rank owns of the flat parameter vector, in the weights' type.
struct Moments {
  Moments(const Range& owned, at::ScalarType type);

  Range own;
  at::Tensor first, second;  // [own.count()]
};

}  // namespace crossloom::trainer
