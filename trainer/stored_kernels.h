// Adam on stretches whose weights or moments are stored in fewer bytes than float32, one pass:
// decode, update in float32, encode. What is stored is rounded stochastically, so that updates
// smaller than the spacing of stored numbers count in the mean; the random bits are a function of
// (key, element) and where its state block begins, so the result depends neither on threads nor on
// how stretches are cut.
//
//   bfloat16   the upper half of a float32, 16 random bits added below
//   8 bits     blocks of 64 elements along a row with the float32 scale s ≈ the largest magnitude:
//              m = s · sign(q) (q/127)²,  q in −127 … 127;   v = s · (q/255)⁴,  q in 0 … 255
//              (small ones keep a relative precision; the mean of what is stored is the moment
//              itself, but for what stored_numbers-inl.h says of small codes); without a gradient
//              a block's codes stay, and only its scales shrink by β₁ and β₂
//
// 8-bit moments can break what holds for exact ones, m² ≤ C v with C = (1−β₁)² / ((1−β₂)(1−β₁²/β₂))
// (Cauchy–Schwarz over the gradients' weights); the update uses max(v, m²/C), so that a v that was
// rounded to 0 cannot make a step of it. The update's quotient and the root of a first moment's
// code come from the CPU's estimates (12 bits or more with AVX2 and AVX-512).
#pragma once

#include <hwy/base.h>

#include <cstdint>

#include "trainer/flat_kernels.h"
#include "trainer/state_block.h"

namespace crossloom::trainer {

enum class Stored : uint8_t { kFloat, kHalf, kByte };

/// Pointers to a stretch's first element; scales to that of its first block.
struct StoredStretch {
  void* weights;
  Stored weight_type;  // kFloat or kHalf
  void* first;         // null: β₁ = 0, the first moment is the gradient
  void* second;
  Stored state_type;
  float* first_scales;   // kByte
  float* second_scales;  // kByte
};

struct StoredCoefficients {
  AdamCoefficients<float> adam;
  float smallest_second;  // 1/C
  uint64_t key;           // of the run's seed and the step
};

/// The coefficients as the kernel uses them. A first moment is counted in units of what a gradient
/// adds to it, a second one in units of what its square adds, so that adding takes no product:
///
///   M = β₁/first_unit · m + g      S = β₂/second_unit · v + g²      second_unit = root_unit²
struct StoredRates {
  /// `has_first`: false where β₁ = 0 and no first moment is kept. c.adam.scale > 0.
  explicit StoredRates(const StoredCoefficients& c, bool has_first = true);

  float first_unit, root_unit, second_unit;
  float beta1, beta2;
  float old_first, old_second;  // of M and S per m and v
  float least_second;           // S where v is kTiny
  float step_size;              // per M
  float root;                   // per √S
  float epsilon;
  float root_of_smallest;  // √S must be this times |M|
  uint64_t key;
};

/// g [count] float32; `element` is the first one's number over all parameters. Stretches begin at a
/// block.
void adam_stored_stretch(const StoredStretch& stretch, const float* g, int64_t count,
                         int64_t element, const StoredRates& rates);

/// 1/C of these β; 0 where the bound does not exist (β₁² ≥ β₂).
double smallest_second(double beta1, double beta2);

}  // namespace crossloom::trainer
