// The encoder, the same for every architecture:
//
//   h = x W_encᵀ + b_enc                                  (transcoders.md 4.1)
//   ∂W_enc[i] = Σ_t ∂h_{t,i} · x_t,  ∂b_enc[i] = Σ_t ∂h_{t,i}
//
// ∂h is sparse, plus an amount u_i per feature that is the same for every token: the latter costs
// u_i · Σ_t x_t only.
//
// Initial values: W_enc ~ U(±1/√D) or U(±1/√F), b_enc = 0.
#pragma once

#include "architectures/activation.h"

namespace crossloom::architectures {

/// Features [begin, end) of F: a rank's part of a layer.
struct FeatureRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

class Encoder {
 public:
  Encoder(const TranscoderShape& shape, const TranscoderOptions& options, at::ScalarType type);

  /// 2L of them: W_enc_0 [F, D], b_enc_0 [F], W_enc_1, …
  const std::vector<Parameter>& parameters() const { return parameters_; }

  /// Of x [T, D] with these features.
  EncoderProduct product(int64_t layer, const at::Tensor& x, FeatureRange features) const;
  /// Of x [T, D] with features `index` (int32 or int64 [n]); first_feature means nothing.
  EncoderProduct product(int64_t layer, const at::Tensor& x, const at::Tensor& index) const;
  /// pre_grad [nnz] = ∂Loss/∂h at the codes' entries, on top of `everywhere` [F] (u above;
  /// undefined: 0); x [T, D]. Adds to the sink's W_enc and b_enc.
  void backward(int64_t layer, const at::Tensor& x, const LayerCodes& codes,
                const at::Tensor& pre_grad, const at::Tensor& everywhere,
                ParameterSink& sink) const;
  /// index int32 [n] → rows of W_enc [n, D].
  at::Tensor rows(int64_t layer, const at::Tensor& index) const;

 private:
  const at::Tensor& weight(int64_t layer) const;  // [F, D]
  const at::Tensor& bias(int64_t layer) const;    // [F]

  TranscoderShape shape_;
  std::vector<Parameter> parameters_;
};

}  // namespace crossloom::architectures
