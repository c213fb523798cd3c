#include "architectures/encoder.h"

#include <cmath>

#include "architectures/initial_weights.h"
#include "architectures/kernels/feature_lists.h"

namespace crossloom::architectures {
namespace {

size_t weight_number(int64_t layer) {
  return static_cast<size_t>(2 * layer);
}
size_t bias_number(int64_t layer) {
  return static_cast<size_t>(2 * layer + 1);
}

}  // namespace

Encoder::Encoder(const TranscoderShape& shape, int64_t seed, at::ScalarType type) : shape_(shape) {
  const Rng rng(static_cast<uint64_t>(seed), Purpose::kEncoderWeights);
  const double bound = 1.0 / std::sqrt(static_cast<double>(shape.width));
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    const Rng layer_rng = rng.with(static_cast<uint64_t>(layer));
    parameters_.push_back({fmt::format("W_enc_{}", layer),
                           uniform_weights({shape.features, shape.width}, type, layer_rng, bound),
                           ShardRule::kLayerFeature});
    parameters_.push_back({fmt::format("b_enc_{}", layer), at::zeros({shape.features}, type),
                           ShardRule::kLayerFeature});
  }
}

const at::Tensor& Encoder::weight(int64_t layer) const {
  return parameters_.at(weight_number(layer)).value;
}

const at::Tensor& Encoder::bias(int64_t layer) const {
  return parameters_.at(bias_number(layer)).value;
}

at::Tensor Encoder::pre_activations(int64_t layer, const at::Tensor& x,
                                    FeatureRange features) const {
  check_shape(x, {-1, shape_.width}, "x");
  const at::Tensor rows = weight(layer).narrow(0, features.begin, features.size());  // [F', D]
  const at::Tensor offsets = bias(layer).narrow(0, features.begin, features.size());
  return at::addmm(offsets, x, rows.t());
}

void Encoder::backward(int64_t layer, const at::Tensor& x, const LayerCodes& codes,
                       const at::Tensor& pre_grad, ParameterSink& sink) const {
  check_shape(x, {codes.tokens(), shape_.width}, "x");
  const auto lists = kernels::group_by_feature(codes, pre_grad, shape_.features);
  const at::Tensor weight_grad = sink.gradient(weight_number(layer));  // [F, D]
  kernels::for_feature_ranges(
      lists, [&](kernels::Range features) { kernels::add_outer(lists, x, weight_grad, features); });
  sink.finished(weight_number(layer));
  kernels::add_weight_sums(lists, sink.gradient(bias_number(layer)));
  sink.finished(bias_number(layer));
}

at::Tensor Encoder::rows(int64_t layer, const at::Tensor& index) const {
  return weight(layer).index_select(0, index);
}

}  // namespace crossloom::architectures
