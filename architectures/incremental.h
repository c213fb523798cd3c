// Incremental cross-layer transcoder: one decoder per target, shared by all layers that write to it
// (transcoders.md 5.3). Feature i is one concept with an encoder and a decoder in every layer.
//
//   s^{l'} = Σ_{l ≤ l'} a^l,   ŷ^{l'} = b_dec^{l'} + W_dec^{l'} s^{l'}         W_dec_l [F, D]
//   ∂a^l = Σ_{l' ≥ l} Δ^{l'} W_dec^{l'}ᵀ,   ∂W_dec^{l'} = s^{l'}ᵀ Δ^{l'}
//
// The plain bodies take one pair at a time; where codes are dense, the running sum s and the suffix
// sum of Δ W_decᵀ need one GEMM per target instead.
#pragma once

#include "architectures/decoder_topology.h"

namespace crossloom::architectures {

class Incremental final : public DecoderTopology {
 public:
  Incremental(const TranscoderShape& shape, at::ScalarType type)
      : DecoderTopology(shape, type, rows_per_layer(shape)) {}

  std::string describe() const override {
    return "ŷ[l'] = b_dec[l'] + W_dec[l'] Σ_{l ≤ l'} a[l], one decoder per target; W_dec_l [F, D]";
  }
  int64_t owner(int64_t source, int64_t target) const override {
    return source <= target ? target : -1;
  }
  at::Tensor table(const at::Tensor& weights, int64_t, int64_t) const override { return weights; }

  void add_writes(int64_t target, const Codes& codes, ColumnRange columns,
                  const at::Tensor& y_hat) const override;
  void add_all_writes(const Codes& codes, ColumnRange columns,
                      const std::vector<at::Tensor>& y_hat) const override;
  CodeGradients decode_backward(const Codes& codes, const std::vector<at::Tensor>& y_grad,
                                ColumnRange columns, const std::vector<at::Tensor>& norm_grad,
                                ParameterSink& sink) const override;

  /// Whether running sums beat pairs for codes of layers 0 … `target`.
  static bool runs_dense(const Codes& codes, int64_t features, int64_t target);
};

}  // namespace crossloom::architectures
