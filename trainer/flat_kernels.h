// Vector loops over stretches of the flat parameter vector (Highway, chosen at run time):
//
//   adam_stretch   g ← scale · g;  m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²
//                  w ← w − step_size · m / (√v · root + ε)
//   squared_sum    Σ g², in float64
//
// adam_stretch is element-wise: its bits do not depend on how a vector is cut into stretches.
#pragma once

#include <cstdint>

namespace crossloom::trainer {

template <typename Real>
struct AdamCoefficients {
  Real scale;  // of the gradient
  Real beta1;
  Real rest1;  // 1 − β₁, rounded once
  Real beta2;
  Real rest2;      // 1 − β₂
  Real step_size;  // η / (1 − β₁ᵗ)
  Real root;       // 1 / √(1 − β₂ᵗ)
  Real epsilon;
};

/// All four [count]; w, m and v in place.
void adam_stretch(float* w, const float* g, float* m, float* v, int64_t count,
                  const AdamCoefficients<float>& c);
void adam_stretch(double* w, const double* g, double* m, double* v, int64_t count,
                  const AdamCoefficients<double>& c);

/// In an order that depends on `count` and the machine's vectors only.
double squared_sum(const float* g, int64_t count);
double squared_sum(const double* g, int64_t count);

}  // namespace crossloom::trainer
