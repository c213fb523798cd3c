// The encoder, the same for every architecture (transcoders.md 4.1):
//
//   h^l = x̃^l W_encᵀ + b_enc      W_enc^l [F, D] ~ U(±1/√D), b_enc^l [F] = 0 at first
//
// Gradients touch only kept entries: ∂W_enc[f] += Σ_t g·x[t], ∂b_enc[f] += Σ_t g.
#pragma once

#include "architectures/transcoder.h"

namespace crossloom::architectures {

class Encoder {
 public:
  Encoder(const TranscoderShape& shape, uint64_t seed, at::ScalarType type);

  /// Appends W_enc_l and b_enc_l of all layers; remembers where.
  void add_parameters(std::vector<Parameter>& parameters);

  /// x [T, D] → h [T, F].
  at::Tensor pre_activations(int64_t layer, const at::Tensor& x) const;
  /// value_grad [nnz] → sums in the sink.
  void backward(int64_t layer, const at::Tensor& x, const LayerCodes& codes,
                const at::Tensor& value_grad, ParameterSink& sink) const;
  /// Rows `index` (int32 [n]) of W_enc: [n, D].
  at::Tensor rows(int64_t layer, const at::Tensor& index) const;

 private:
  TranscoderShape shape_;
  std::vector<at::Tensor> weight_;  // [L] of [F, D]
  std::vector<at::Tensor> bias_;    // [L] of [F]
  size_t first_parameter_ = 0;
};

}  // namespace crossloom::architectures
