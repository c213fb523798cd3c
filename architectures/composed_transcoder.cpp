#include "architectures/composed_transcoder.h"

#include <cmath>

#include "architectures/initial_weights.h"
#include "architectures/kernels/dense_codes.h"
#include "architectures/stored_weights.h"

namespace crossloom::architectures {
namespace {

const char* name_of(at::ScalarType stored) {
  return stored == at::kDouble ? "float64" : stored == at::kBFloat16 ? "bfloat16" : "float32";
}

/// A component numbers its parameters from 0; the transcoder's sink knows them from `first`.
class ComponentSink final : public ParameterSink {
 public:
  ComponentSink(ParameterSink& sink, size_t first) : sink_(sink), first_(first) {}
  at::Tensor gradient(size_t parameter) override { return sink_.gradient(first_ + parameter); }
  void finished(size_t parameter) override { sink_.finished(first_ + parameter); }
  GradientStretches* stretches(size_t parameter) override {
    return sink_.stretches(first_ + parameter);
  }

 private:
  ParameterSink& sink_;
  size_t first_;
};

}  // namespace

ComposedTranscoder::ComposedTranscoder(const TranscoderOptions& options,
                                       const TranscoderShape& shape, at::ScalarType type,
                                       std::unique_ptr<Activation> activation,
                                       std::unique_ptr<const DecoderTopology> topology,
                                       bool with_skip)
    : options_(options),
      shape_(shape),
      encoder_(shape, options, type),
      activation_(std::move(activation)),
      topology_(std::move(topology)),
      parameters_(encoder_.parameters()) {
  if (with_skip) {
    skip_.emplace(shape, computed_type(type));
  }
  const auto append = [&](const std::vector<Parameter>& more) {
    parameters_.insert(parameters_.end(), more.begin(), more.end());
  };
  append(activation_->parameters());
  append(topology_->parameters());
  if (skip_) {
    append(skip_->parameters());
  }
  require_one_of("init.decoder", options.init.decoder, {"zeros", "uniform"});
  if (options.init.decoder == "uniform") {
    randomise_decoders();
  }
}

void ComposedTranscoder::randomise_decoders() const {
  const Rng rng(static_cast<uint64_t>(options_.seed), Purpose::kDecoderWeights);
  const double bound = 1.0 / std::sqrt(static_cast<double>(shape_.layers * shape_.width));
  uint64_t number = 0;
  for (const Parameter& parameter : topology_->parameters()) {
    if (parameter.name.starts_with("W_dec")) {
      parameter.value.copy_(uniform_weights(parameter.value.sizes(), parameter.value.scalar_type(),
                                            rng.with(number++), bound));
    }
  }
}

std::string ComposedTranscoder::describe() const {
  return fmt::format(
      "{}: h = W_enc x + b_enc; {}; {}{}. L = {}, D = {}, F = {}, seed = {}, {}; {} parameters; "
      "initially W_enc ~ U(±{}/√{}), W_dec {}.",
      options_.architecture, activation_->describe(), topology_->describe(),
      skip_ ? "; ŷ[l] += W_skip[l] x[l]" : "", shape_.layers, shape_.width, shape_.features,
      options_.seed, name_of(parameters_.front().value.scalar_type()), element_count(parameters_),
      options_.init.encoder_scale, options_.init.encoder == "features" ? "F" : "D",
      options_.init.decoder == "uniform" ? "~ U(±1/√(L·D))" : "= 0");
}

Candidates ComposedTranscoder::propose(int64_t layer, const at::Tensor& x, Watch watch) const {
  return activation_->propose_from(layer, encoder_.product(layer, x, {0, shape_.features}), watch);
}

std::vector<Candidates> ComposedTranscoder::propose_all(const std::vector<at::Tensor>& x,
                                                        Watch watch) const {
  CROSSLOOM_CHECK(std::ssize(x) == shape_.layers, "{} layers of x", x.size());
  std::vector<EncoderProduct> products;
  for (int64_t layer = 0; layer < shape_.layers; ++layer) {
    products.push_back(
        encoder_.product(layer, x.at(static_cast<size_t>(layer)), {0, shape_.features}));
  }
  return activation_->propose_all(products, watch);
}

LayerCodes ComposedTranscoder::filter(int64_t layer, const Candidates& merged,
                                      std::optional<double> bar) const {
  LayerCodes codes = activation_->filter(layer, merged, bar);
  const auto cells = static_cast<double>(codes.tokens() * shape_.features);
  if (static_cast<double>(codes.count()) > kDenseShare * cells) {
    codes.dense = kernels::densify(codes, codes.value, shape_.features);
  }
  return codes;
}

void ComposedTranscoder::start_decode(const Codes& codes, ColumnRange columns,
                                      std::vector<at::Tensor>& y_hat, Part part) const {
  y_hat.resize(static_cast<size_t>(shape_.layers));
  const std::vector<int64_t> sizes = {codes.front().tokens(), columns.width()};
  for (int64_t layer = 0; layer < shape_.layers; ++layer) {
    start_layer(layer, sizes, columns, y_hat[static_cast<size_t>(layer)], part);
  }
}

void ComposedTranscoder::start_layer(int64_t layer, at::IntArrayRef sizes, ColumnRange columns,
                                     at::Tensor& y_hat, Part part) const {
  const at::Tensor& bias = topology_->bias(layer);
  if (!y_hat.defined() || y_hat.sizes() != sizes || y_hat.scalar_type() != bias.scalar_type()) {
    y_hat = at::empty(sizes, bias.options());
  }
  if (part == Part::kFeatureWrites) {
    y_hat.zero_();
  } else {
    y_hat.copy_(bias.narrow(0, columns.begin, columns.width()));  // broadcast over tokens
  }
}

void ComposedTranscoder::decode(const Codes& codes, const std::vector<at::Tensor>& x,
                                ColumnRange columns, std::vector<at::Tensor>& y_hat,
                                Part part) const {
  topology_->check_call(codes, columns);
  start_decode(codes, columns, y_hat, part);
  topology_->add_all_writes(codes, columns, y_hat);
  if (skip_ && part == Part::kWhole) {
    for (int64_t layer = 0; layer < shape_.layers; ++layer) {
      const auto l = static_cast<size_t>(layer);
      skip_->add(layer, x.at(l), columns, y_hat[l]);
    }
  }
}

void ComposedTranscoder::decode_layer(int64_t target, const Codes& codes, const at::Tensor& x,
                                      ColumnRange columns, at::Tensor& y_hat) const {
  start_layer(target, {codes.front().tokens(), columns.width()}, columns, y_hat, Part::kWhole);
  topology_->add_writes(target, codes, columns, y_hat);
  if (skip_) {
    skip_->add(target, x, columns, y_hat);
  }
}

CodeGradients ComposedTranscoder::decode_backward(const Codes& codes,
                                                  const std::vector<at::Tensor>& x,
                                                  const std::vector<at::Tensor>& y_grad,
                                                  ColumnRange columns,
                                                  const std::vector<at::Tensor>& norm_grad,
                                                  ParameterSink& sink, Part part) const {
  ComponentSink decoder_sink(sink, first_of_topology());
  if (part == Part::kWhole) {
    topology_->bias_backward(y_grad, columns, decoder_sink);
    if (skip_) {
      ComponentSink skip_sink(sink, first_of_skip());
      skip_->backward(x, y_grad, columns, skip_sink);
    }
  }
  return topology_->decode_backward(codes, y_grad, columns, norm_grad, decoder_sink);
}

void ComposedTranscoder::encode_backward(int64_t layer, const at::Tensor& x,
                                         const LayerCodes& codes, const at::Tensor& value_grad,
                                         const at::Tensor& silent_grad, ParameterSink& sink) const {
  ComponentSink activation_sink(sink, first_of_activation());
  at::Tensor pre_grad =
      activation_->backward(layer, codes, value_grad, silent_grad, activation_sink);
  if (silent_grad.defined()) {  // everywhere, less where a feature is active
    const at::Tensor active = codes.value.gt(0).to(silent_grad.scalar_type());
    pre_grad = pre_grad - silent_grad.index_select(0, codes.index) * active;
  }
  encoder_.backward(layer, x, codes, pre_grad, silent_grad, sink);  // its parameters come first
}

std::vector<at::Tensor> ComposedTranscoder::decoder_square_norms(ColumnRange columns) const {
  return topology_->square_norms(columns);
}

at::Tensor ComposedTranscoder::pre_activations(int64_t layer, const at::Tensor& x,
                                               const at::Tensor& index) const {
  const auto product = index.defined() ? encoder_.product(layer, x, index)
                                       : encoder_.product(layer, x, {0, shape_.features});
  return product.pre_activations();
}

at::Tensor ComposedTranscoder::written_rows(int64_t source, int64_t target, const at::Tensor& index,
                                            const at::Tensor& value) const {
  return topology_->written_rows(source, target, index, value);
}

at::Tensor ComposedTranscoder::read_rows(int64_t layer, const at::Tensor& index) const {
  return encoder_.rows(layer, index);
}

at::Tensor ComposedTranscoder::skip_weight(int64_t layer) const {
  return skip_ ? skip_->weight(layer) : at::Tensor();
}

}  // namespace crossloom::architectures
