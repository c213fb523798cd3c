// Reconstruction loss of the TopK types: fraction of variance unexplained, summed over layers.
//
//   FVU_l = Σ_t ‖y_t − ŷ_t‖² / V_l,  V_l = Σ_t ‖y_t − ȳ_l‖²,  ȳ_l the mean over the global batch
//   Loss = Σ_l FVU_l,   ∂Loss/∂ŷ_l = −2 (y − ŷ) / V_l        (transcoders.md 6.1, 7)
//
// V_l comes from TargetMoments, which add up over ranks; sums are float64.
#pragma once

#include <vector>

#include "common/tensor.h"

namespace crossloom::architectures {

/// Sums over tokens of one layer's targets. V = Σ‖y‖² − ‖Σy‖²/n would cancel: two-pass callers use
/// `centred_energy` with the global mean instead.
/// Σ_t y_t as float64 [D].
at::Tensor target_sum(const at::Tensor& y);
/// Σ_t ‖y_t − mean‖² in float64; y [T, D], mean float64 [D].
double centred_energy(const at::Tensor& y, const at::Tensor& mean);

/// Returns Σ_t ‖y_t − ŷ_t‖² (float64) over these columns and writes ∂Loss/∂ŷ [T, d].
/// `energy` is V_l over the global batch and all columns; y, y_hat [T, d].
double fvu_backward(const at::Tensor& y, const at::Tensor& y_hat, double energy,
                    at::Tensor& y_hat_grad);

}  // namespace crossloom::architectures
