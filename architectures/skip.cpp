#include "architectures/skip.h"

namespace crossloom::architectures {

Skip::Skip(const TranscoderShape& shape, at::ScalarType type) {
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    parameters_.push_back({fmt::format("W_skip_{}", layer),
                           at::zeros({shape.width, shape.width}, type), ShardRule::kColumns});
  }
}

const at::Tensor& Skip::weight(int64_t layer) const {
  return parameters_.at(static_cast<size_t>(layer)).value;
}

void Skip::add(int64_t layer, const at::Tensor& x, ColumnRange columns,
               const at::Tensor& y_hat) const {
  check_shape(x, {y_hat.size(0), weight(layer).size(1)}, "x");
  at::Tensor sum = y_hat;
  sum.addmm_(x, weight(layer).narrow(0, columns.begin, columns.width()).t());
}

void Skip::backward(const std::vector<at::Tensor>& x, const std::vector<at::Tensor>& y_grad,
                    ColumnRange columns, ParameterSink& sink) const {
  for (size_t l = 0; l < parameters_.size(); ++l) {
    at::Tensor rows = sink.gradient(l).narrow(0, columns.begin, columns.width());  // [d, D]
    rows.addmm_(y_grad[l].t(), x[l]);
    sink.finished(l);
  }
}

}  // namespace crossloom::architectures
