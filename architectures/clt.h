// Cross-layer transcoder, untied: every layer writes to its own target and to all later ones, each
// through its own decoder (transcoders.md 5.2).
//
//   ŷ^{l'} = b_dec^{l'} + Σ_{l ≤ l'} W_dec^{l→l'} a^l
//   ∂a^l   = Σ_{l' ≥ l} Δ^{l'} · W_dec^{l→l'},   ∂W_dec^{l→l'}[i] = Σ_t a_{t,i} Δ_t^{l'}
//
// Fat rows: W_dec_l [F, L−l, D] holds, for one feature, the vectors for all its targets
// l, l+1, …, L−1 next to each other: one contiguous read per active feature.
#pragma once

#include "architectures/decoder_topology.h"

namespace crossloom::architectures {

class Clt final : public DecoderTopology {
 public:
  Clt(const TranscoderShape& shape, at::ScalarType type);

  const std::vector<Parameter>& parameters() const override { return parameters_; }
  std::string describe() const override;
  void add_writes(int64_t target, const Codes& codes, ColumnRange columns,
                  const at::Tensor& y_hat) const override;
  CodeGradients decode_backward(const Codes& codes, const std::vector<at::Tensor>& y_grad,
                                ColumnRange columns, ParameterSink& sink) const override;
  at::Tensor written_rows(int64_t source, int64_t target, const at::Tensor& index) const override;

 private:
  TranscoderShape shape_;
  std::vector<Parameter> parameters_;
};

}  // namespace crossloom::architectures
