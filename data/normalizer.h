// Scalar normalisation per layer, from the cache's mean norms n (mean L2 norm over rows):
//
//   x̃ = x / σ_in,   σ_in  = n_in  / √D_in        ỹ = y / σ_out,  σ_out = n_out / √D_out
//
// so that a row's mean norm becomes √D. A transcoder trained on x̃, ỹ is folded for use on the
// model's own activations (all exact; θ and the activations do not change, decoder norms do):
//
//   W_enc^l ← W_enc^l / σ_in^l      b_enc unchanged (no mean is subtracted)
//   W_dec^{l→m} ← σ_out^m · W_dec^{l→m}    b_dec^m ← σ_out^m · b_dec^m
//   W_skip^l ← W_skip^l · σ_out^l / σ_in^l
#pragma once

#include <vector>

#include "data/batch.h"
#include "data/norm_statistics.h"

namespace crossloom::data {

class Normalizer {
 public:
  /// Throws DataError when a layer's mean norm is not positive.
  explicit Normalizer(const NormStatistics& statistics);
  /// From stored scales [L] (a checkpoint).
  Normalizer(std::vector<double> sigma_in, std::vector<double> sigma_out)
      : sigma_in_(std::move(sigma_in)), sigma_out_(std::move(sigma_out)) {}

  const std::vector<double>& sigma_in() const { return sigma_in_; }    // [L]
  const std::vector<double>& sigma_out() const { return sigma_out_; }  // [L]

  /// x [T, D] of any float type → `into` = x̃, [T, D] in into's type; `into` is resized when needed.
  void normalize_input(int64_t layer, const at::Tensor& x, at::Tensor& into) const;
  void normalize_target(int64_t layer, const at::Tensor& y, at::Tensor& into) const;
  /// ŷ = σ_out · ỹ, a new tensor.
  at::Tensor restore_target(int64_t layer, const at::Tensor& y) const;

  /// W_enc [F, D] → folded [F, D].
  at::Tensor fold_encoder(int64_t layer, const at::Tensor& w_enc) const;
  /// Fat rows W_dec [F, n, D], whose column j writes to layer first_target + j → folded.
  at::Tensor fold_decoder(int64_t first_target, const at::Tensor& w_dec) const;
  /// b_dec [D] → folded [D].
  at::Tensor fold_decoder_bias(int64_t layer, const at::Tensor& b_dec) const;
  /// W_skip [D_out, D_in] → folded.
  at::Tensor fold_skip(int64_t layer, const at::Tensor& w_skip) const;

 private:
  std::vector<double> sigma_in_, sigma_out_;
};

}  // namespace crossloom::data
