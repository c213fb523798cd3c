#include "architectures/composed_transcoder.h"

namespace crossloom::architectures {
namespace {

/// A component numbers its parameters from 0; the transcoder's sink knows them from `first`.
class ComponentSink final : public ParameterSink {
 public:
  ComponentSink(ParameterSink& sink, size_t first) : sink_(sink), first_(first) {}
  at::Tensor gradient(size_t parameter) override { return sink_.gradient(first_ + parameter); }
  void finished(size_t parameter) override { sink_.finished(first_ + parameter); }

 private:
  ParameterSink& sink_;
  size_t first_;
};

int64_t element_count(const std::vector<Parameter>& parameters) {
  int64_t count = 0;
  for (const Parameter& parameter : parameters) {
    count += parameter.value.numel();
  }
  return count;
}

}  // namespace

ComposedTranscoder::ComposedTranscoder(const TranscoderOptions& options,
                                       const TranscoderShape& shape, at::ScalarType type,
                                       std::unique_ptr<const Activation> activation,
                                       std::unique_ptr<const DecoderTopology> topology)
    : options_(options),
      shape_(shape),
      encoder_(shape, options.seed, type),
      activation_(std::move(activation)),
      topology_(std::move(topology)),
      parameters_(encoder_.parameters()) {
  const auto& decoders = topology_->parameters();
  parameters_.insert(parameters_.end(), decoders.begin(), decoders.end());
}

std::string ComposedTranscoder::describe() const {
  return fmt::format(
      "{}: h = W_enc x + b_enc; {}; {}. L = {}, D = {}, F = {}, seed = {}, {}; {} parameters; "
      "initially W_enc ~ U(±1/√D), all else 0.",
      options_.architecture, activation_->describe(), topology_->describe(), shape_.layers,
      shape_.width, shape_.features, options_.seed,
      parameters_.front().value.scalar_type() == at::kDouble ? "float64" : "float32",
      element_count(parameters_));
}

Candidates ComposedTranscoder::propose(int64_t layer, const at::Tensor& x) const {
  return activation_->propose(layer, pre_activations(layer, x), 0);
}

LayerCodes ComposedTranscoder::filter(int64_t layer, const Candidates& merged) const {
  return activation_->filter(layer, merged);
}

void ComposedTranscoder::decode(const Codes& codes, const std::vector<at::Tensor>& /*x*/,
                                ColumnRange columns, std::vector<at::Tensor>& y_hat) const {
  check_decode_call(shape_, codes, columns);
  y_hat.resize(codes.size());
  for (int64_t target = 0; target < shape_.layers; ++target) {
    decode_target(*topology_, target, codes, columns, y_hat[static_cast<size_t>(target)]);
  }
}

void ComposedTranscoder::decode_layer(int64_t target, const Codes& codes, const at::Tensor& /*x*/,
                                      ColumnRange columns, at::Tensor& y_hat) const {
  decode_target(*topology_, target, codes, columns, y_hat);
}

CodeGradients ComposedTranscoder::decode_backward(const Codes& codes,
                                                  const std::vector<at::Tensor>& /*x*/,
                                                  const std::vector<at::Tensor>& y_grad,
                                                  ColumnRange columns, ParameterSink& sink) const {
  ComponentSink decoder_sink(sink, encoder_.parameters().size());
  return topology_->decode_backward(codes, y_grad, columns, decoder_sink);
}

void ComposedTranscoder::encode_backward(int64_t layer, const at::Tensor& x,
                                         const LayerCodes& codes, const at::Tensor& value_grad,
                                         ParameterSink& sink) const {
  encoder_.backward(layer, x, codes, value_grad, sink);  // the encoder's parameters come first
}

at::Tensor ComposedTranscoder::pre_activations(int64_t layer, const at::Tensor& x) const {
  return encoder_.pre_activations(layer, x, {0, shape_.features});
}

at::Tensor ComposedTranscoder::written_rows(int64_t source, int64_t target,
                                            const at::Tensor& index) const {
  return topology_->written_rows(source, target, index);
}

at::Tensor ComposedTranscoder::read_rows(int64_t layer, const at::Tensor& index) const {
  return encoder_.rows(layer, index);
}

}  // namespace crossloom::architectures
