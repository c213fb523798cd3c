// Per-layer transcoder: every layer writes to its own target only (transcoders.md 5.1).
//
//   ŷ^l = b_dec^l + W_dec^l a^l                  W_dec_l [F, D], one row per feature
#pragma once

#include "architectures/decoder_topology.h"

namespace crossloom::architectures {

class Plt final : public DecoderTopology {
 public:
  Plt(const TranscoderShape& shape, at::ScalarType type);

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
