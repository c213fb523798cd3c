#include "architectures/untied_decoder.h"

#include <algorithm>

#include "architectures/dispatch.h"
#include "architectures/kernels/row_kernels.h"

namespace crossloom::architectures {

UntiedDecoder::UntiedDecoder(const TranscoderShape& shape, int64_t reach, at::ScalarType type)
    : shape_(shape), reach_(reach) {
  const at::TensorOptions options(type);
  for (int64_t s = 0; s < shape.layers; ++s) {
    weight_.push_back(reach == 0
                          ? at::zeros({shape.features, shape.width}, options)
                          : at::zeros({shape.features, targets_of(s), shape.width}, options));
    bias_.push_back(at::zeros({shape.width}, options));
  }
}

void UntiedDecoder::add_parameters(std::vector<Parameter>& parameters) {
  first_parameter_ = parameters.size();
  for (size_t l = 0; l < weight_.size(); ++l) {
    parameters.push_back({fmt::format("W_dec_{}", l), weight_[l], ShardRule::kColumns});
    parameters.push_back({fmt::format("b_dec_{}", l), bias_[l], ShardRule::kColumns});
  }
}

template <typename Real>
void UntiedDecoder::decode_typed(int64_t target, const Codes& codes,
                                 const std::vector<FeatureOrder>& orders, ColumnRange columns,
                                 const at::Tensor& y_hat) const {
  const int64_t width = columns.width();
  auto* out = y_hat.mutable_data_ptr<Real>();
  for (int64_t s = first_source(target); s <= target; ++s) {
    const auto source = static_cast<size_t>(s);
    const FeatureOrder& order = orders[source];
    const int64_t row_stride = targets_of(s) * shape_.width;
    const auto* row =
        weight_[source].const_data_ptr<Real>() + (target - s) * shape_.width + columns.begin;
    const auto* value = codes[source].value.const_data_ptr<Real>();
    for (int64_t f = 0; f < shape_.features; ++f) {
      for (auto i = static_cast<size_t>(order.begin[static_cast<size_t>(f)]);
           i < static_cast<size_t>(order.begin[static_cast<size_t>(f) + 1]); ++i) {
        axpy(width, value[order.entry[i]], row + f * row_stride, out + order.token[i] * width);
      }
    }
  }
}

void UntiedDecoder::decode_layer(int64_t target, const Codes& codes, ColumnRange columns,
                                 at::Tensor& y_hat) const {
  check_shape(y_hat, {codes[static_cast<size_t>(target)].tokens(), columns.width()}, "y_hat");
  y_hat.copy_(bias_[static_cast<size_t>(target)]
                  .narrow(0, columns.begin, columns.width())
                  .expand_as(y_hat));
  std::vector<FeatureOrder> orders(static_cast<size_t>(target) + 1);
  for (int64_t s = first_source(target); s <= target; ++s) {
    orders[static_cast<size_t>(s)] = by_feature(codes[static_cast<size_t>(s)], shape_.features);
  }
  dispatch_real(y_hat.scalar_type(), [&]<typename Real>(Real) {
    decode_typed<Real>(target, codes, orders, columns, y_hat);
  });
}

void UntiedDecoder::decode(const Codes& codes, ColumnRange columns,
                           std::vector<at::Tensor>& y_hat) const {
  std::vector<FeatureOrder> orders;
  for (size_t l = 0; l < codes.size(); ++l) {
    check_shape(y_hat[l], {codes[l].tokens(), columns.width()}, "y_hat");
    orders.push_back(by_feature(codes[l], shape_.features));
    y_hat[l].copy_(bias_[l].narrow(0, columns.begin, columns.width()).expand_as(y_hat[l]));
  }
  dispatch_real(y_hat.front().scalar_type(), [&]<typename Real>(Real) {
  // The last targets have the most sources: first, so that threads finish together.
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t i = 0; i < shape_.layers; ++i) {
      const int64_t target = shape_.layers - 1 - i;
      decode_typed<Real>(target, codes, orders, columns, y_hat[static_cast<size_t>(target)]);
    }
  });
}

template <typename Real>
void UntiedDecoder::backward_typed(int64_t target, const Codes& codes,
                                   const std::vector<FeatureOrder>& orders, ColumnRange columns,
                                   const at::Tensor& y_grad,
                                   const std::vector<at::Tensor>& weight_grads,
                                   const std::vector<at::Tensor>& partial) const {
  const int64_t width = columns.width();
  const auto* delta = y_grad.const_data_ptr<Real>();
  for (int64_t s = first_source(target); s <= target; ++s) {
    const auto source = static_cast<size_t>(s);
    const FeatureOrder& order = orders[source];
    const int64_t row_stride = targets_of(s) * shape_.width;
    const int64_t offset = (target - s) * shape_.width + columns.begin;
    const auto* weight = weight_[source].const_data_ptr<Real>() + offset;
    auto* weight_grad = weight_grads[source].mutable_data_ptr<Real>() + offset;
    const auto* value = codes[source].value.const_data_ptr<Real>();
    auto* value_grad =
        partial[source].mutable_data_ptr<Real>() + (target - s) * codes[source].count();
    for (int64_t f = 0; f < shape_.features; ++f) {
      for (auto i = static_cast<size_t>(order.begin[static_cast<size_t>(f)]);
           i < static_cast<size_t>(order.begin[static_cast<size_t>(f) + 1]); ++i) {
        value_grad[order.entry[i]] =
            dot_axpy(width, value[order.entry[i]], delta + order.token[i] * width,
                     weight + f * row_stride, weight_grad + f * row_stride);
      }
    }
  }
}

template <typename Real>
void UntiedDecoder::bias_backward(const at::Tensor& y_grad, ColumnRange columns,
                                  const at::Tensor& bias_grad) const {
  const auto* delta = y_grad.const_data_ptr<Real>();
  auto* bias = bias_grad.mutable_data_ptr<Real>() + columns.begin;
  for (int64_t t = 0; t < y_grad.size(0); ++t) {
    axpy(columns.width(), Real(1), delta + t * columns.width(), bias);
  }
}

CodeGradients UntiedDecoder::backward(const Codes& codes, const std::vector<at::Tensor>& y_grad,
                                      ColumnRange columns, ParameterSink& sink) const {
  std::vector<FeatureOrder> orders;
  std::vector<at::Tensor> weight_grads;
  std::vector<at::Tensor> bias_grads;
  std::vector<at::Tensor> partial;  // [L] of [n_s, nnz]: one slot per target, summed in order below
  for (size_t l = 0; l < codes.size(); ++l) {
    check_shape(y_grad[l], {codes[l].tokens(), columns.width()}, "y_grad");
    orders.push_back(by_feature(codes[l], shape_.features));
    weight_grads.push_back(sink.gradient(first_parameter_ + 2 * l));
    bias_grads.push_back(sink.gradient(first_parameter_ + 2 * l + 1));
    partial.push_back(
        at::empty({targets_of(static_cast<int64_t>(l)), codes[l].count()}, y_grad[l].options()));
  }
  dispatch_real(y_grad.front().scalar_type(), [&]<typename Real>(Real) {
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t i = 0; i < shape_.layers; ++i) {
      const int64_t target = shape_.layers - 1 - i;
      const auto l = static_cast<size_t>(target);
      backward_typed<Real>(target, codes, orders, columns, y_grad[l], weight_grads, partial);
      bias_backward<Real>(y_grad[l], columns, bias_grads[l]);
    }
  });
  CodeGradients gradients;
  for (size_t l = 0; l < codes.size(); ++l) {
    gradients.push_back(partial[l].sum(0));
    sink.finished(first_parameter_ + 2 * l);
    sink.finished(first_parameter_ + 2 * l + 1);
  }
  return gradients;
}

at::Tensor UntiedDecoder::written_rows(int64_t source, int64_t target,
                                       const at::Tensor& index) const {
  if (source > target || target > source + reach_) {
    return {};
  }
  const at::Tensor rows = weight_[static_cast<size_t>(source)].index_select(0, index.to(at::kLong));
  return reach_ == 0 ? rows : rows.select(1, target - source);
}

std::string UntiedDecoder::describe() const {
  if (reach_ == 0) {
    return "per-layer decoders: ŷ^l = a^l W_dec^l + b_dec^l";
  }
  return fmt::format(
      "untied cross-layer decoders, {} layers ahead: ŷ^l = Σ_s a^s W_dec^(s→l) + b_dec^l", reach_);
}

}  // namespace crossloom::architectures
