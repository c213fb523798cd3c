// Pre-activation loss: pulls silent features towards firing (transcoders.md 6.3, form B).
//
//   Loss_p = Σ_l Σ_{t,i silent} w_i (θ_i − h_{t,i}),   w_i = λ_P · n_i / T   (n_i or 1; only dead
//   i)
//
// Silent is the complement of active, so nothing dense is needed (performance.md):
//   Σ_silent (θ_i − h) = θ_i (T − N_i) − (W_enc,i · Σ_t x_t + T b_i − Σ_{t active} h_{t,i})
//   ∂/∂h_{t,i} = −w_i for silent entries
// With a TopK the silent entries include positive ones that were not kept (the late form of
// clt-training); with ReLU and weights of 1 it is form A, λ_P Σ ReLU(−h).
#pragma once

#include "architectures/transcoder.h"

namespace crossloom::architectures {

/// Loss of one layer. weights w [F] real; x [T, D]. The gradient is −w: encode_backward's
/// `silent_grad`.
double pre_activation_loss(const Transcoder& transcoder, int64_t layer, const at::Tensor& x,
                           const LayerCodes& codes, const at::Tensor& weights);

}  // namespace crossloom::architectures
