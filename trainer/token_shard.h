// One virtual token shard's part of a step: T/S normalised tokens, their codes, reconstruction and
// gradients. Everything that needs the whole batch comes in as StepTerms; this file knows no ranks.
//
//   Loss = Σ_l Σ_t ‖y − ŷ‖² / N_l                        reconstruction   (losses.h)
//        + (λ/T) Σ tanh(c n a)                           sparsity         (sparsity.h)
//        + Σ_{silent} w_i (θ_i − h)                      pre-activation   (pre_activation_loss.h)
//        + Σ_l α m_l Σ_t ‖ê − e‖² / V^e_l                AuxK             (auxk.h)
//
// With nested prefixes the reconstruction is a mean over G groups (matryoshka.h): N_l is then
// G·N_l.
#pragma once

#include <vector>

#include "architectures/transcoder.h"
#include "data/batch.h"
#include "data/normalizer.h"
#include "trainer/step_terms.h"

namespace crossloom::trainer {

/// Sums over a shard's tokens, in float64; they add up over shards.
struct ShardSums {
  std::vector<double> squared;    // [L] Σ ‖y − ŷ‖²
  std::vector<double> nested;     // [L] the same of the nested groups, summed over them
  std::vector<double> kept;       // [L] active codes
  double sparsity = 0.0;          // loss term, λ included
  double pre_activation = 0.0;    // loss term, weights included
  std::vector<double> auxiliary;  // [L] Σ ‖ê − e‖²
};

class TokenShard {
 public:
  TokenShard(const architectures::TranscoderShape& shape, int64_t tokens,
             const at::TensorOptions& options);

  /// Rows [begin, begin + tokens) of the batch, normalised.
  void load(const data::Batch& batch, int64_t begin, const data::Normalizer& normalizer);
  void propose(const architectures::Transcoder& transcoder, architectures::Watch watch);
  /// Codes, reconstruction, its error and gradient. Sums of the other terms are 0 until `backward`.
  void forward(const architectures::Transcoder& transcoder, const StepTerms& terms);
  /// All parameter gradients into the sink.
  void backward(const architectures::Transcoder& transcoder, const StepTerms& terms,
                architectures::ParameterSink& sink);

  const std::vector<at::Tensor>& targets() const { return y_; }  // [L] of [T/S, D]
  /// y − ŷ of one layer, [T/S, D].
  at::Tensor residual(size_t layer) const { return y_[layer] - y_hat_[layer]; }
  const std::vector<architectures::Candidates>& candidates() const { return candidates_; }
  const ShardSums& sums() const { return sums_; }
  /// Adds how often each feature was active: int64 [L, F].
  void count_active(const at::Tensor& fired) const;

 private:
  architectures::TranscoderShape shape_;
  std::vector<at::Tensor> x_, y_, y_hat_, y_grad_;  // [L] of [T/S, D]
  std::vector<architectures::Candidates> candidates_;
  architectures::Codes codes_;
  ShardSums sums_;
};

}  // namespace crossloom::trainer
