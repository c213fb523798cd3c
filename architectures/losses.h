// Reconstruction loss, summed over layers:
//
//   Loss = Σ_l Σ_t ‖y_t − ŷ_t‖² / N_l,   ∂Loss/∂ŷ_l = −2 (y − ŷ) / N_l      (transcoders.md 6.1, 7)
//
// with one of three denominators N_l over the global batch, because λ of a sparsity term means
// nothing without it:
//   fvu           V_l = Σ_t ‖y_t − ȳ_l‖²: fraction of variance unexplained (clt-training)
//   token_sum     T: mean over tokens of the squared norm
//   element_mean  T·D: mean over all numbers (a framework's mse_loss)
// V_l comes from sums that add up over ranks in two passes; sums are float64.
#pragma once

#include <string>

#include "common/tensor.h"

namespace crossloom::architectures {

// V = Σ‖y‖² − ‖Σy‖²/n would cancel: first the sums, then centred_energy with the global mean.

/// Σ_t y_t as float64 [D].
at::Tensor target_sum(const at::Tensor& y);
/// Σ_t ‖y_t − mean‖² in float64; y [T, D], mean float64 [D].
double centred_energy(const at::Tensor& y, const at::Tensor& mean);

/// N_l of the convention named ("fvu", "token_sum", "element_mean"); throws ConfigError otherwise.
double loss_denominator(const std::string& convention, double energy, int64_t tokens,
                        int64_t width);

/// Returns Σ_t ‖y_t − ŷ_t‖² (float64) over these columns and writes ∂Loss/∂ŷ [T, d].
/// `denominator` is N_l; y, y_hat [T, d]. Throws DataError unless it is positive.
double squared_error_backward(const at::Tensor& y, const at::Tensor& y_hat, double denominator,
                              at::Tensor& y_hat_grad);

}  // namespace crossloom::architectures
