// The hand-written adjoint of the frozen model (attribution.md 7): pulls gradients of B targets
// back through the frozen layers, from where they are injected down to the embedding. No autograd
// graph, no MLP work; memory is the state [B, n, D].
//
//   inject at u_l[p_t]:  m̄ = Hookᵀ v            Hookᵀ = 1 (resid_mid) | ·/s2 (normalized) | g2 ⊙
//   ·/s2 inject at logits:    r̄[S−1] = g_f ⊙ v / s_f attention of layer l, transposed:
//     z̄_h = W_O,hᵀ m̄;  v̄_g[p] = Σ_{h∈g} Σ_{q≥p} A_h[q,p] z̄_h[q];  n̄ = Σ_g W_V,gᵀ v̄_g
//     r̄ = m̄ + g1 ⊙ n̄ / s1
//
// Causal cone: a target at position p has no gradient beyond p, so the state holds n = max p_t + 1
// positions only. Bias terms met on the way (b_O, b_V) are added to the rows' bias.
#pragma once

#include <vector>

#include "models/frozen.h"

namespace crossloom::eval {

/// Gradients of B targets at one place of the residual stream, and the bias parts met so far.
struct AdjointState {
  at::Tensor gradient;       // [B, n, D]
  at::Tensor bias;           // [B] Σ of bias parts
  at::Tensor bias_absolute;  // [B] Σ |bias parts|
};

class FrozenAdjoint {
 public:
  /// Both must outlive this object. Type: the run's (float32 or float64).
  FrozenAdjoint(const models::Transformer& model, const models::FrozenRun& run);

  /// v [B, D] at the feature input of `layer`, positions[b] its position → state at the residual
  /// entering `layer` (the gradient at mlp_out of layer − 1, and of all layers below until pulled).
  AdjointState inject_features(int64_t layer, const at::Tensor& v,
                               const std::vector<int64_t>& positions) const;

  /// v [B, D] at the final norm's output, last position → state at the residual leaving layer L
  /// − 1.
  AdjointState inject_logits(const at::Tensor& v) const;

  /// From the residual leaving `layer` to the one entering it; the MLP is a constant, or the skip
  /// W_skip [D, D] at positions ≥ 1 when it is defined: m̄ = r̄ + Hookᵀ (W_skipᵀ r̄).
  void pull_through(int64_t layer, const at::Tensor& skip, AdjointState& state) const;

 private:
  void pull_through_attention(int64_t layer, AdjointState& state) const;
  at::Tensor hook_transposed(int64_t layer, const at::Tensor& gradient, int64_t positions) const;

  const models::Transformer& model_;
  const models::FrozenRun& run_;
};

/// Adds `parts` [B, anything…] to a state's bias, and their absolute values.
void add_bias_parts(AdjointState& state, const at::Tensor& parts);

}  // namespace crossloom::eval
