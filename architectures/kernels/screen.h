// The screen of the encoder: which pre-activations can be among the K largest of their row, found
// from products of bytes with a bound that holds, so that nothing that belongs to the K largest is
// lost. Whoever screens computes the survivors again in float32.
//
// With x' = (x − m)∘c, w' = w/c and b' = b + w·m (byte_frame.h), x̂ = s_t q_t and ŵ = s_f q_f their
// bytes (byte_rows.h), p the whole number nearest to (q_t·q_f) / 2^k_f (byte_products.h), and
// e = s_t (s_f 2^k_f) p + b' the estimate of h = w·x + b = w'·x' + b':
//
//   w'·x' − ŵ·x̂ = (x' − x̂)·ŵ + x'·(w' − ŵ),   |ŵ·x̂ − s_t s_f 2^k_f p| ≤ s_t s_f 2^k_f / 2
//   |h − e| ≤ r,   r = a_t n_f + n_t d_f + 3ε|b'|                             (Cauchy–Schwarz)
//   a_t = ‖x' − x̂‖ + γ(n_t + 2‖m∘c‖) + ε n_t,   n = max(‖x'‖, ‖x̂‖), max(‖w'‖, ‖ŵ‖)
//   d_f = ‖w' − ŵ‖ + s_f 2^k_f / 254                       since s_t = max |x'| / 127 ≤ n_t / 127
//   ε = 2⁻²² and γ = D·ε for everything that is computed in float32: x', w', b', e, h itself, with
//   |e| ≤ n_t n_f + n_t d_f + |b'|
//
// Given K entries of a row whose exact values are at least B, an entry whose upper bound e + r is
// below B (or not positive) is out. The K entries are found from maxima: when features are dealt to
// groups, K groups whose largest estimates are at least β hold K entries that are at least β. Over
// a batch (screened_batch_topk.h) the K·T entries are found with one bar for all rows.
//
// Everything goes feature by feature, the tokens being the vectors' lanes: a feature's survivors
// then come out as its list (feature_lists.h).
#pragma once

#include <cstdint>

namespace crossloom::architectures::kernels {

inline constexpr int64_t kScreenLanes = 16;  // of the widest vectors in use

/// What the bound says about the tokens, each [count]; count ≥ kScreenLanes.
struct ScreenTokens {
  const float* steps;   // s_t
  const float* errors;  // a_t
  const float* norms;   // n_t
  int64_t count;
};

/// A feature's products with all tokens and what the bound says about it.
struct ScreenFeature {
  const int16_t* products;  // p [tokens]
  float step;               // s_f 2^k_f
  float bias;               // b'
  float norm;               // n_f
  float error_norm;         // d_f
};

/// estimates [tokens] ← e.
void estimates_of(const ScreenTokens& tokens, const ScreenFeature& feature, float* estimates);

/// maxima [tokens] ← max(maxima, e).
void raise_to_estimates(const ScreenTokens& tokens, const ScreenFeature& feature, float* maxima);

/// bars [tokens] ← a positive number that at least `kept` of a token's maxima [groups, tokens]
/// reach, near the largest such; 0 where fewer than `kept` are positive.
void bars_from_maxima(const float* maxima, int64_t groups, int64_t tokens, int64_t kept,
                      float* bars);

/// Tokens with e ≥ bar and > 0, ascending, into `found` (room for tokens + kScreenLanes). Returns
/// how many.
int64_t likely_tokens(const ScreenTokens& tokens, const ScreenFeature& feature, const float* bars,
                      int32_t* found);

/// The same of other tokens than these, with e + r ≥ least and > 0.
int64_t possible_tokens(const ScreenTokens& tokens, const ScreenFeature& feature, const float* bars,
                        const float* least, int32_t* found);

/// What float32 arithmetic may add, as a part of the norms: ε above; γ = D·ε.
inline constexpr float kFloatRounding = 0x1p-22F;

/// What products on a grid of s_f 2^k_f add to d_f.
inline float grid_error(float step) {
  return step / 254.0F;
}

}  // namespace crossloom::architectures::kernels
