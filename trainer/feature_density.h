// How often each feature fires, as a moving average over tokens, and which features are dead
// (transcoders.md 10):
//
//   ρ ← β ρ + (1 − β) f,   f = share of this batch's tokens on which it fired,   β = exp(−T / τ)
//   ρ̂ = ρ / (1 − exp(−seen / τ))        dead: ρ̂ < ρ_min
//
// τ is in tokens, so the average does not depend on the batch size. A feature of density ρ₀ that
// stops firing counts as dead after τ · ln(ρ₀ / ρ_min) tokens. Counts are summed over ranks and
// exact, so the result does not depend on the rank count.
#pragma once

#include <vector>

#include "common/tensor.h"

namespace crossloom::trainer {

class FeatureDensity {
 public:
  /// window_tokens is τ, min_density ρ_min.
  FeatureDensity(int64_t layers, int64_t features, double window_tokens, double min_density);

  /// `fired` int64 [L, F]: how often in the last `tokens` tokens, over all ranks.
  void update(const at::Tensor& fired, int64_t tokens);

  /// bool [L, F]; none before the first update.
  at::Tensor dead() const;
  /// Share of each layer's features that are dead, [L].
  std::vector<double> dead_share() const;

  /// State for a checkpoint: ρ float64 [L, F], and tokens seen, int64 [1].
  const at::Tensor& density() const { return density_; }
  const at::Tensor& seen() const { return seen_; }

 private:
  double window_tokens_;
  double min_density_;
  at::Tensor density_;
  at::Tensor seen_;
};

}  // namespace crossloom::trainer
