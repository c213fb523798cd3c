// Source-tied cross-layer transcoder: a layer writes the same vector to its own and to every later
// target (transcoders.md 5.5, without affine).
//
//   z^l = W_dec^l a^l,   ŷ^{l'} = b_dec^{l'} + Σ_{l ≤ l'} z^l                  W_dec_l [F, D]
//   E^l = Σ_{l' ≥ l} Δ^{l'},   ∂a^l = E^l W_dec^lᵀ,   ∂W_dec^l = a^lᵀ E^l
//
// Prefix and suffix sums in D-space: the work of a per-layer transcoder.
#pragma once

#include "architectures/decoder_topology.h"

namespace crossloom::architectures {

class SourceTied final : public DecoderTopology {
 public:
  SourceTied(const TranscoderShape& shape, at::ScalarType type)
      : DecoderTopology(shape, type, rows_per_layer(shape)) {}

  std::string describe() const override {
    return "ŷ[l'] = b_dec[l'] + Σ_{l ≤ l'} W_dec[l] a[l], one decoder per source; W_dec_l [F, D]";
  }
  int64_t owner(int64_t source, int64_t target) const override {
    return source <= target ? source : -1;
  }
  at::Tensor table(const at::Tensor& weights, int64_t, int64_t) const override { return weights; }

  void add_all_writes(const Codes& codes, ColumnRange columns,
                      const std::vector<at::Tensor>& y_hat) const override;
  CodeGradients decode_backward(const Codes& codes, const std::vector<at::Tensor>& y_grad,
                                ColumnRange columns, const std::vector<at::Tensor>& norm_grad,
                                ParameterSink& sink) const override;
};

}  // namespace crossloom::architectures
