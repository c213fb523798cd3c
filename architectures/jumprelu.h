// JumpReLU: a = h · 1[h > θ], θ = exp(t) per layer and feature, t trained (transcoders.md 4.3).
//
// The step has no gradient; training uses the rectangle Π(u) = 1[|u| < ½] of bandwidth ε:
//
//   ∂Loss/∂θ_i = Σ_t −(θ_i/ε) · Π((h_{t,i} − θ_i)/ε) · g_{t,i},   ∂/∂t = θ · ∂/∂θ,  g = ∂Loss/∂a
//   ∂Loss/∂h   = g · 1[h > θ]
//
// Variants of other trainers are options: −h/ε in place of −θ/ε (threshold_gradient: pre), g passed
// where h ≥ 0 (input_gradient: positive) or everywhere (all). Entries that are silent but whose g
// is needed become codes of value 0 while training (Watch::kGradients).
#pragma once

#include "architectures/activation.h"

namespace crossloom::architectures {

class JumpRelu final : public Activation {
 public:
  /// Throws ConfigError when threshold or bandwidth is not positive or a variant is unknown.
  JumpRelu(const JumpReluOptions& options, const TranscoderShape& shape, at::ScalarType type);

  /// L of them: log_threshold_0 [F], log_threshold_1, …
  const std::vector<Parameter>& parameters() const override { return parameters_; }
  Candidates propose(int64_t layer, const at::Tensor& h, int64_t first_feature,
                     Watch watch) const override;
  at::Tensor backward(int64_t layer, const LayerCodes& codes, const at::Tensor& value_grad,
                      const at::Tensor& silent_grad, ParameterSink& sink) const override;
  at::Tensor thresholds(int64_t layer) const override;
  std::string describe() const override;

 private:
  enum class InputGradient : uint8_t { kMasked, kPositive, kAll };

  double bandwidth_;
  double initial_threshold_;
  bool gradient_of_pre_;  // −h/ε in place of −θ/ε
  InputGradient input_gradient_;
  int64_t features_;
  std::vector<Parameter> parameters_;
};

}  // namespace crossloom::architectures
