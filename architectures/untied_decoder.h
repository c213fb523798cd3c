// Untied decoders (transcoders.md 5.1, 5.2): every (source s, target l) pair within reach has its
// own.
//
//   ŷ^l = Σ_{s : s ≤ l ≤ s + reach} a^s W_dec^{s→l} + b_dec^l
//
// reach 0 is a PLT, reach L − 1 a CLT (and anything between a window). Stored as fat rows: per
// source W_dec_s [F, n_s, D], n_s = min(reach, L − 1 − s) + 1, so that one active feature is one
// contiguous read for all its targets; a PLT's are [F, D]. Zero at first: training starts at b_dec,
// the mean.
//
// Loop order: target, source, feature, token. A decoder row stays in the first-level cache for all
// tokens on which its feature fires; the target's [T, D] tile stays in the second; weights and
// their gradients stream through memory once. Sums run in a fixed order (source, feature; token),
// one writer each, so results do not depend on the number of threads.
#pragma once

#include "architectures/decoder.h"

namespace crossloom::architectures {

class UntiedDecoder : public Decoder {
 public:
  UntiedDecoder(const TranscoderShape& shape, int64_t reach, at::ScalarType type);

  void add_parameters(std::vector<Parameter>& parameters) override;
  void decode_layer(int64_t target, const Codes& codes, ColumnRange columns,
                    at::Tensor& y_hat) const override;
  void decode(const Codes& codes, ColumnRange columns,
              std::vector<at::Tensor>& y_hat) const override;
  CodeGradients backward(const Codes& codes, const std::vector<at::Tensor>& y_grad,
                         ColumnRange columns, ParameterSink& sink) const override;
  at::Tensor written_rows(int64_t source, int64_t target, const at::Tensor& index) const override;
  std::string describe() const override;

 private:
  int64_t first_source(int64_t target) const { return std::max<int64_t>(0, target - reach_); }
  int64_t targets_of(int64_t source) const {
    return std::min(reach_, shape_.layers - 1 - source) + 1;
  }
  template <typename Real>
  void decode_typed(int64_t target, const Codes& codes, const std::vector<FeatureOrder>& orders,
                    ColumnRange columns, const at::Tensor& y_hat) const;
  template <typename Real>
  void backward_typed(int64_t target, const Codes& codes, const std::vector<FeatureOrder>& orders,
                      ColumnRange columns, const at::Tensor& y_grad,
                      const std::vector<at::Tensor>& weight_grads,
                      const std::vector<at::Tensor>& partial) const;
  template <typename Real>
  void bias_backward(const at::Tensor& y_grad, ColumnRange columns,
                     const at::Tensor& bias_grad) const;

  TranscoderShape shape_;
  int64_t reach_;
  std::vector<at::Tensor> weight_;  // [L] of [F, n_s, D]
  std::vector<at::Tensor> bias_;    // [L] of [D]
  size_t first_parameter_ = 0;
};

}  // namespace crossloom::architectures
