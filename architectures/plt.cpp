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
  kernels::for_token_ranges(y_hat.size(0), [&](kernels::Range tokens) {
    kernels::add_rows(codes[static_cast<size_t>(target)],
                      weight.narrow(1, columns.begin, columns.width()), y_hat, tokens);
  });
}

CodeGradients Plt::decode_backward(const Codes& codes, const std::vector<at::Tensor>& y_grad,
                                   ColumnRange columns, ParameterSink& sink) const {
  check_decode_call(shape_, codes, columns);
  CROSSLOOM_CHECK(y_grad.size() == codes.size(), "{} layers of y_grad", y_grad.size());
  bias_backward(y_grad, columns, sink);
  CodeGradients gradients = zero_code_gradients(codes);
  kernels::for_token_ranges(codes.front().tokens(), [&](kernels::Range tokens) {
    for (int64_t layer = 0; layer < shape_.layers; ++layer) {
      const auto l = static_cast<size_t>(layer);
      const at::Tensor& weight = parameters_[decoder_weight_number(layer)].value;
      kernels::dot_rows(codes[l], weight.narrow(1, columns.begin, columns.width()), y_grad[l],
                        gradients[l], tokens);
    }
  });
  for (int64_t layer = 0; layer < shape_.layers; ++layer) {
    const auto l = static_cast<size_t>(layer);
    const auto lists = kernels::group_by_feature(codes[l], codes[l].value, shape_.features);
    const size_t number = decoder_weight_number(layer);
    const at::Tensor weight_grad =
        sink.gradient(number).narrow(1, columns.begin, columns.width());  // [F, d]
    kernels::for_feature_ranges(lists, [&](kernels::Range features) {
      kernels::add_outer(lists, y_grad[l], weight_grad, features);
    });
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
