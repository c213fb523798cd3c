// The screen of the encoder: which pre-activations can be among the K largest of their row, found
// from bfloat16 products (where they are fast) with a bound that holds, so that nothing that
// belongs to the K largest is lost. Whoever screens computes the survivors again in float32.
//
// With x̂, ŵ the bfloat16 roundings, s = ŵ·x̂ as a bfloat16 product returns it, h = w·x + b:
//
//   |h − (s + b)| ≤ r,   r = u|s| + ε|b| + a_t ‖ŵ‖ + ‖x‖ ‖w − ŵ‖   (Cauchy–Schwarz)
//   a_t = ‖x − x̂‖ + γ‖x‖,   u = 2⁻⁸ for the rounding of s,   ε = 2⁻²² and γ = D·ε for float32
//
// The K-th largest lower bound B = s + b − r is exceeded or met by K entries for certain, so an
// entry whose upper bound s + b + r is below B (or not positive) is out. The norms of the rounding
// errors are measured, not bounded: for random rows r is about 1/30 of the K-th value, and about
// 2K entries survive.
#pragma once

#include <cstdint>
#include <vector>

namespace crossloom::architectures::kernels {

/// Σ row², Σ rounded², Σ (row − rounded)², in float32.
struct RowSquares {
  float whole;
  float rounded;
  float error;
};

/// Σ row², in float32, of a bfloat16 row [width]. width ≥ kScreenLanes.
float row_square(const uint16_t* row, int64_t width);

/// to [width] ← from [width] in bfloat16, to nearest, ties to even. width ≥ kScreenLanes.
RowSquares round_row(const float* from, int64_t width, uint16_t* to);

/// Products of one token with `count` features and what the bound says about them.
struct ScreenRow {
  const uint16_t* products;  // bfloat16 s [count]
  const float* bias;         // b [count]
  const float* norms;        // ‖ŵ‖ [count]
  const float* error_norms;  // ‖w − ŵ‖ [count]
  int64_t count;             // ≥ kScreenLanes
  float input_error;         // a_t
  float input_norm;          // ‖x‖
};

/// Places of the entries that can be among the `kept` largest positive ones, ascending, into
/// `places` (room for count + kScreenLanes); `scratch` grows as needed. Returns how many.
int64_t screen_row(const ScreenRow& row, int64_t kept, std::vector<float>& scratch,
                   int32_t* places);

inline constexpr int64_t kScreenLanes = 16;  // of the widest vectors in use

}  // namespace crossloom::architectures::kernels
