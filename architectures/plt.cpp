#include "architectures/plt.h"

#include "architectures/kernels/feature_lists.h"
#include "architectures/kernels/sparse_rows.h"

namespace crossloom::architectures {

Plt::Plt(const TranscoderShape& shape, at::ScalarType type)
    : shape_(shape),
      parameters_(zero_decoders(
          std::vector<std::vector<int64_t>>(static_cast<size_t>(shape.layers),
                                            std::vector<int64_t>{shape.features, shape.width}),
          shape.width, type)) {}

std::string Plt::describe() const {
  return "ŷ[l] = b_dec[l] + W_dec[l] a[l], each layer to its own target; W_dec_l [F, D]";
}

void Plt::add_writes(int64_t target, const Codes& codes, ColumnRange columns,
                     const at::Tensor& y_hat) const {
  const at::Tensor& weight = parameters_[decoder_weight_number(target)].value;
  kernels::add_rows(codes[static_cast<size_t>(target)],
                    weight.narrow(1, columns.begin, columns.width()), y_hat);
}

CodeGradients Plt::decode_backward(const Codes& codes, const std::vector<at::Tensor>& y_grad,
                                   ColumnRange columns, ParameterSink& sink) const {
  check_decode_call(shape_, codes.size(), columns);
  bias_backward(y_grad, columns, sink);
  CodeGradients gradients;
  for (int64_t layer = 0; layer < shape_.layers; ++layer) {
    const auto l = static_cast<size_t>(layer);
    const size_t number = decoder_weight_number(layer);
    const at::Tensor weight = parameters_[number].value.narrow(1, columns.begin, columns.width());
    gradients.push_back(at::zeros_like(codes[l].value));
    kernels::dot_rows(codes[l], weight, y_grad[l], gradients.back());

    const auto lists = kernels::group_by_feature(codes[l], codes[l].value, shape_.features);
    const at::Tensor weight_grad = sink.gradient(number);  // [F, D]
    kernels::add_outer(lists, y_grad[l], weight_grad.narrow(1, columns.begin, columns.width()));
    sink.finished(number);
  }
  return gradients;
}

at::Tensor Plt::written_rows(int64_t source, int64_t target, const at::Tensor& index) const {
  if (source != target) {
    return {};
  }
  return parameters_.at(decoder_weight_number(source)).value.index_select(0, index);
}

}  // namespace crossloom::architectures
