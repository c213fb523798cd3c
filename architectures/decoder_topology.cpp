#include "architectures/decoder_topology.h"

#include "architectures/kernels/reductions.h"

namespace crossloom::architectures {

std::vector<Parameter> zero_decoders(const std::vector<std::vector<int64_t>>& weight_shapes,
                                     int64_t width, at::ScalarType type) {
  std::vector<Parameter> parameters;
  for (size_t layer = 0; layer < weight_shapes.size(); ++layer) {
    parameters.push_back({fmt::format("W_dec_{}", layer), at::zeros(weight_shapes[layer], type),
                          ShardRule::kColumns});
    parameters.push_back(
        {fmt::format("b_dec_{}", layer), at::zeros({width}, type), ShardRule::kColumns});
  }
  return parameters;
}

void decode_target(const DecoderTopology& topology, int64_t target, const Codes& codes,
                   ColumnRange columns, at::Tensor& y_hat) {
  const at::Tensor& bias = topology.parameters().at(decoder_bias_number(target)).value;
  const std::vector<int64_t> sizes = {codes.at(static_cast<size_t>(target)).tokens(),
                                      columns.width()};
  if (!y_hat.defined() || y_hat.sizes() != sizes || y_hat.scalar_type() != bias.scalar_type()) {
    y_hat = at::empty(sizes, bias.options());
  }
  y_hat.copy_(bias.narrow(0, columns.begin, columns.width()));  // broadcast over tokens
  topology.add_writes(target, codes, columns, y_hat);
}

void bias_backward(const std::vector<at::Tensor>& y_grad, ColumnRange columns,
                   ParameterSink& sink) {
  for (size_t layer = 0; layer < y_grad.size(); ++layer) {
    const size_t number = decoder_bias_number(static_cast<int64_t>(layer));
    const at::Tensor gradient = sink.gradient(number);  // [D]
    const at::Tensor sums = kernels::column_sums(y_grad[layer]);
    gradient.narrow(0, columns.begin, columns.width()).add_(sums.to(gradient.scalar_type()));
    sink.finished(number);
  }
}

CodeGradients zero_code_gradients(const Codes& codes) {
  CodeGradients gradients;
  for (const LayerCodes& layer : codes) {
    gradients.push_back(at::zeros_like(layer.value));
  }
  return gradients;
}

void check_decode_call(const TranscoderShape& shape, const Codes& codes, ColumnRange columns) {
  CROSSLOOM_CHECK(codes.size() == static_cast<size_t>(shape.layers),
                  "{} layers of codes, expected {}", codes.size(), shape.layers);
  for (const LayerCodes& layer : codes) {
    CROSSLOOM_CHECK(layer.tokens() == codes.front().tokens(), "codes of {} and of {} tokens",
                    layer.tokens(), codes.front().tokens());
  }
  CROSSLOOM_CHECK(0 <= columns.begin && columns.begin < columns.end && columns.end <= shape.width,
                  "columns [{}, {}) of {}", columns.begin, columns.end, shape.width);
}

}  // namespace crossloom::architectures
