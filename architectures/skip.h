// Affine skip: ŷ^l += W_skip^l x^l, W_skip [D_out, D_in], reading the encoder's (normalised) input
// (transcoders.md 5.6). Initially zero; not penalised.
//
//   ∂W_skip^l = Δ^{l⊤} x^l
#pragma once

#include "architectures/transcoder.h"

namespace crossloom::architectures {

class Skip {
 public:
  Skip(const TranscoderShape& shape, at::ScalarType type);

  /// L of them: W_skip_0 [D, D], W_skip_1, …
  const std::vector<Parameter>& parameters() const { return parameters_; }
  const at::Tensor& weight(int64_t layer) const;
  /// y_hat [T, columns.width()] += x W_skipᵀ.
  void add(int64_t layer, const at::Tensor& x, ColumnRange columns, const at::Tensor& y_hat) const;
  void backward(const std::vector<at::Tensor>& x, const std::vector<at::Tensor>& y_grad,
                ColumnRange columns, ParameterSink& sink) const;

 private:
  std::vector<Parameter> parameters_;
};

}  // namespace crossloom::architectures
