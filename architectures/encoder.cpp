#include "architectures/encoder.h"

#include <cmath>

#include "architectures/dispatch.h"
#include "architectures/kernels/row_kernels.h"
#include "common/rng.h"

namespace crossloom::architectures {

Encoder::Encoder(const TranscoderShape& shape, uint64_t seed, at::ScalarType type) : shape_(shape) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(shape.width));
  for (int64_t l = 0; l < shape.layers; ++l) {
    const Rng rng = Rng(seed, Purpose::kEncoderWeights).with(static_cast<uint64_t>(l));
    at::Tensor weight = at::empty({shape.features, shape.width}, at::TensorOptions(type));
    dispatch_real(type, [&]<typename Real>(Real) {
      auto* values = weight.mutable_data_ptr<Real>();
      for (int64_t i = 0; i < weight.numel(); ++i) {
        const double u = static_cast<double>(rng.uniform(static_cast<uint64_t>(i)));
        values[i] = static_cast<Real>(bound * (2.0 * u - 1.0));
      }
    });
    weight_.push_back(weight);
    bias_.push_back(at::zeros({shape.features}, at::TensorOptions(type)));
  }
}

void Encoder::add_parameters(std::vector<Parameter>& parameters) {
  first_parameter_ = parameters.size();
  for (size_t l = 0; l < weight_.size(); ++l) {
    parameters.push_back({fmt::format("W_enc_{}", l), weight_[l], ShardRule::kLayerFeature});
    parameters.push_back({fmt::format("b_enc_{}", l), bias_[l], ShardRule::kLayerFeature});
  }
}

at::Tensor Encoder::pre_activations(int64_t layer, const at::Tensor& x) const {
  check_shape(x, {-1, shape_.width}, "x");
  const auto l = static_cast<size_t>(layer);
  return at::addmm(bias_[l], x, weight_[l].t());
}

void Encoder::backward(int64_t layer, const at::Tensor& x, const LayerCodes& codes,
                       const at::Tensor& value_grad, ParameterSink& sink) const {
  check_shape(value_grad, {codes.count()}, "value_grad");
  const size_t parameter = first_parameter_ + 2 * static_cast<size_t>(layer);
  const at::Tensor weight_grad = sink.gradient(parameter);
  const at::Tensor bias_grad = sink.gradient(parameter + 1);
  const FeatureOrder order = by_feature(codes, shape_.features);
  const at::Tensor input = x.contiguous();
  dispatch_real(input.scalar_type(), [&]<typename Real>(Real) {
    const auto* rows = input.const_data_ptr<Real>();
    const auto* gradient = value_grad.const_data_ptr<Real>();
    auto* weight = weight_grad.mutable_data_ptr<Real>();
    auto* bias = bias_grad.mutable_data_ptr<Real>();
    const int64_t width = shape_.width;
#pragma omp parallel for schedule(dynamic, 16)
    for (int64_t f = 0; f < shape_.features; ++f) {
      for (int64_t i = order.begin[static_cast<size_t>(f)];
           i < order.begin[static_cast<size_t>(f) + 1]; ++i) {
        const Real g = gradient[order.entry[static_cast<size_t>(i)]];
        axpy(width, g, rows + order.token[static_cast<size_t>(i)] * width, weight + f * width);
        bias[f] += g;
      }
    }
  });
  sink.finished(parameter);
  sink.finished(parameter + 1);
}

at::Tensor Encoder::rows(int64_t layer, const at::Tensor& index) const {
  return weight_[static_cast<size_t>(layer)].index_select(0, index.to(at::kLong));
}

}  // namespace crossloom::architectures
