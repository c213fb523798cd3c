// Pre-activation loss: pulls silent features towards firing (transcoders.md 6.3, form B).
//
//   Loss_p = Σ_l Σ_i w_i S_i,   S_i = Σ_{t: i silent} (θ_i − h_{t,i})
//   w_i = λ_P · n_i / T         (n_i the norm of i's decoder vectors, or 1; only dead i)
//
// Silent is the complement of active, so nothing dense is needed (performance.md):
//   S_i = θ_i (T − N_i) − (W_enc,i · Σ_t x_t + T b_i − Σ_{t active} h_{t,i})
//   ∂/∂h_{t,i} = −w_i for silent entries,   ∂/∂n_i = S_i · w_i / n_i
// With a TopK the silent entries include positive ones that were not kept (the late form of
// clt-training); with ReLU and weights of 1 it is form A, λ_P Σ ReLU(−h).
#pragma once

#include <vector>

#include "architectures/transcoder.h"

namespace crossloom::architectures {

struct PreActivationTerm {
  double loss = 0.0;
  std::vector<at::Tensor> norm_grad;  // [L] of [F]: ∂Loss/∂n_i / n_i, for decode_backward
};

/// x [L] of [T, D]; weights w [L] of real [F]. norms [L] of real [F], which the weights are
/// proportional to; empty: w does not change with the decoders, and norm_grad is empty. The
/// gradient of h is −w: encode_backward's `silent_grad`.
PreActivationTerm pre_activation_loss(const Transcoder& transcoder,
                                      const std::vector<at::Tensor>& x, const Codes& codes,
                                      const std::vector<at::Tensor>& weights,
                                      const std::vector<at::Tensor>& norms);

}  // namespace crossloom::architectures
