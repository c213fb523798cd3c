#include "architectures/encoder.h"

#include <cmath>

#include "architectures/initial_weights.h"
#include "architectures/kernels/dense_codes.h"
#include "architectures/kernels/reductions.h"
#include "architectures/kernels/weight_pass.h"
#include "architectures/stored_weights.h"

namespace crossloom::architectures {
namespace {

size_t weight_number(int64_t layer) {
  return static_cast<size_t>(2 * layer);
}
size_t bias_number(int64_t layer) {
  return static_cast<size_t>(2 * layer + 1);
}

}  // namespace

Encoder::Encoder(const TranscoderShape& shape, const TranscoderOptions& options,
                 at::ScalarType type)
    : shape_(shape) {
  require_one_of("init.encoder", options.init.encoder, {"width", "features"});
  require_positive("init.encoder_scale", options.init.encoder_scale);
  const Rng rng(static_cast<uint64_t>(options.seed), Purpose::kEncoderWeights);
  const int64_t fan = options.init.encoder == "features" ? shape.features : shape.width;
  const double bound = options.init.encoder_scale / std::sqrt(static_cast<double>(fan));
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    const Rng layer_rng = rng.with(static_cast<uint64_t>(layer));
    parameters_.push_back({fmt::format("W_enc_{}", layer),
                           uniform_weights({shape.features, shape.width}, type, layer_rng, bound),
                           ShardRule::kLayerFeature});
    parameters_.push_back({fmt::format("b_enc_{}", layer),
                           at::zeros({shape.features}, computed_type(type)),
                           ShardRule::kLayerFeature});
  }
}

const at::Tensor& Encoder::weight(int64_t layer) const {
  return parameters_.at(weight_number(layer)).value;
}

const at::Tensor& Encoder::bias(int64_t layer) const {
  return parameters_.at(bias_number(layer)).value;
}

EncoderProduct Encoder::product(int64_t layer, const at::Tensor& x, FeatureRange features) const {
  check_shape(x, {-1, shape_.width}, "x");
  return {x, weight(layer).narrow(0, features.begin, features.size()),
          bias(layer).narrow(0, features.begin, features.size()), features.begin};
}

EncoderProduct Encoder::product(int64_t layer, const at::Tensor& x, const at::Tensor& index) const {
  check_shape(x, {-1, shape_.width}, "x");
  return {x, weight(layer).index_select(0, index), bias(layer).index_select(0, index)};
}

void Encoder::backward(int64_t layer, const at::Tensor& x, const LayerCodes& codes,
                       const at::Tensor& pre_grad, const at::Tensor& everywhere,
                       ParameterSink& sink) const {
  check_shape(x, {codes.tokens(), shape_.width}, "x");
  const at::Tensor bias_grad = sink.gradient(bias_number(layer));  // [F]
  GradientStretches* stretches = sink.stretches(weight_number(layer));
  kernels::WeightPass pass{
      .gradient = stretches == nullptr ? sink.gradient(weight_number(layer)) : at::Tensor(),
      .start = everywhere,
      .start_row =
          everywhere.defined() ? kernels::column_sums(x).to(x.scalar_type()) : at::Tensor(),  // [D]
      .stretches = stretches,
      .row_stride = shape_.width};
  kernels::FeatureLists lists;
  if (codes.dense.defined()) {
    pass.dense.push_back({kernels::densify(codes, pre_grad, shape_.features), x});
  } else {
    lists = kernels::group_by_feature(codes, pre_grad, shape_.features);
    pass.sparse.push_back({&lists, x});
  }
  kernels::run_weight_passes({pass});
  kernels::add_weight_sums(codes, pre_grad, bias_grad);
  if (everywhere.defined()) {
    at::Tensor(bias_grad).add_(everywhere, static_cast<double>(codes.tokens()));
  }
  sink.finished(weight_number(layer));
  sink.finished(bias_number(layer));
}

at::Tensor Encoder::rows(int64_t layer, const at::Tensor& index) const {
  return computed(weight(layer).index_select(0, index));
}

}  // namespace crossloom::architectures
