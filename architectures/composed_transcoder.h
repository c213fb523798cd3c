// encoder × activation × decoder topology → Transcoder. Every built-in row of the registry is one
// such composition; parameters are the encoder's, then the topology's.
#pragma once

#include <memory>

#include "architectures/activation.h"
#include "architectures/decoder_topology.h"
#include "architectures/encoder.h"

namespace crossloom::architectures {

class ComposedTranscoder final : public Transcoder {
 public:
  ComposedTranscoder(const TranscoderOptions& options, const TranscoderShape& shape,
                     at::ScalarType type, std::unique_ptr<const Activation> activation,
                     std::unique_ptr<const DecoderTopology> topology);

  const TranscoderShape& shape() const override { return shape_; }
  const TranscoderOptions& options() const override { return options_; }
  const std::vector<Parameter>& parameters() const override { return parameters_; }
  std::string describe() const override;

  Candidates propose(int64_t layer, const at::Tensor& x) const override;
  LayerCodes filter(int64_t layer, const Candidates& merged) const override;
  void decode(const Codes& codes, const std::vector<at::Tensor>& x, ColumnRange columns,
              std::vector<at::Tensor>& y_hat) const override;
  void decode_layer(int64_t target, const Codes& codes, const at::Tensor& x, ColumnRange columns,
                    at::Tensor& y_hat) const override;
  CodeGradients decode_backward(const Codes& codes, const std::vector<at::Tensor>& x,
                                const std::vector<at::Tensor>& y_grad, ColumnRange columns,
                                ParameterSink& sink) const override;
  void encode_backward(int64_t layer, const at::Tensor& x, const LayerCodes& codes,
                       const at::Tensor& value_grad, ParameterSink& sink) const override;

  at::Tensor pre_activations(int64_t layer, const at::Tensor& x) const override;
  at::Tensor written_rows(int64_t source, int64_t target, const at::Tensor& index) const override;
  at::Tensor read_rows(int64_t layer, const at::Tensor& index) const override;

 private:
  TranscoderOptions options_;
  TranscoderShape shape_;
  Encoder encoder_;
  std::unique_ptr<const Activation> activation_;
  std::unique_ptr<const DecoderTopology> topology_;
  std::vector<Parameter> parameters_;  // share storage with the components'
};

}  // namespace crossloom::architectures
