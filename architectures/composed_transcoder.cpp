#include "architectures/composed_transcoder.h"

namespace crossloom::architectures {

ComposedTranscoder::ComposedTranscoder(TranscoderOptions options, const TranscoderShape& shape,
                                       at::ScalarType type, std::unique_ptr<Activation> activation,
                                       std::unique_ptr<Decoder> decoder)
    : options_(std::move(options)),
      shape_(shape),
      encoder_(shape, static_cast<uint64_t>(options_.seed), type),
      activation_(std::move(activation)),
      decoder_(std::move(decoder)) {
  encoder_.add_parameters(parameters_);
  decoder_->add_parameters(parameters_);
}

std::string ComposedTranscoder::describe() const {
  int64_t count = 0;
  for (const auto& parameter : parameters_) {
    count += parameter.value.numel();
  }
  return fmt::format("{}: L {}, D {}, F {}; {}; {}; seed {}; {} parameters", options_.architecture,
                     shape_.layers, shape_.width, shape_.features, activation_->describe(),
                     decoder_->describe(), options_.seed, count);
}

Candidates ComposedTranscoder::propose(int64_t layer, const at::Tensor& x) const {
  return activation_->propose(layer, encoder_.pre_activations(layer, x));
}

LayerCodes ComposedTranscoder::filter(int64_t, const Candidates& merged) const {
  return activation_->filter(merged);
}

void ComposedTranscoder::decode(const Codes& codes, const std::vector<at::Tensor>&,
                                ColumnRange columns, std::vector<at::Tensor>& y_hat) const {
  decoder_->decode(codes, columns, y_hat);
}

void ComposedTranscoder::decode_layer(int64_t target, const Codes& codes, const at::Tensor&,
                                      ColumnRange columns, at::Tensor& y_hat) const {
  decoder_->decode_layer(target, codes, columns, y_hat);
}

CodeGradients ComposedTranscoder::decode_backward(const Codes& codes,
                                                  const std::vector<at::Tensor>&,
                                                  const std::vector<at::Tensor>& y_grad,
                                                  ColumnRange columns, ParameterSink& sink) const {
  return decoder_->backward(codes, y_grad, columns, sink);
}

void ComposedTranscoder::encode_backward(int64_t layer, const at::Tensor& x,
                                         const LayerCodes& codes, const at::Tensor& value_grad,
                                         ParameterSink& sink) const {
  encoder_.backward(layer, x, codes, value_grad, sink);
}

at::Tensor ComposedTranscoder::pre_activations(int64_t layer, const at::Tensor& x) const {
  return encoder_.pre_activations(layer, x);
}

at::Tensor ComposedTranscoder::written_rows(int64_t source, int64_t target,
                                            const at::Tensor& index) const {
  return decoder_->written_rows(source, target, index);
}

at::Tensor ComposedTranscoder::read_rows(int64_t layer, const at::Tensor& index) const {
  return encoder_.rows(layer, index);
}

}  // namespace crossloom::architectures
