#include "architectures/matryoshka.h"

#include "architectures/losses.h"

namespace crossloom::architectures {

NestedTerm nested_reconstruction(const Transcoder& transcoder, const Codes& codes,
                                 const std::vector<at::Tensor>& x, const std::vector<at::Tensor>& y,
                                 const std::vector<int64_t>& prefixes,
                                 const std::vector<double>& denominators, ParameterSink& sink) {
  const ColumnRange columns{0, transcoder.shape().width};
  NestedTerm term{std::vector<double>(codes.size(), 0.0), {}};
  for (const LayerCodes& layer : codes) {
    term.value_grad.push_back(at::zeros_like(layer.value));
  }
  std::vector<at::Tensor> y_hat;
  std::vector<at::Tensor> y_grad(codes.size());
  for (const int64_t prefix : prefixes) {
    Codes within;
    std::vector<at::Tensor> kept;  // bool [nnz]
    for (const LayerCodes& layer : codes) {
      kept.push_back(layer.index.lt(prefix));
      within.push_back(select_entries(layer, kept.back()));
    }
    transcoder.decode(within, x, columns, y_hat);
    for (size_t l = 0; l < y.size(); ++l) {
      y_grad[l] = at::empty_like(y_hat[l]);
      term.squared[l] += squared_error_backward(y[l], y_hat[l], denominators[l], y_grad[l]);
    }
    const CodeGradients gradients =
        transcoder.decode_backward(within, x, y_grad, columns, {}, sink);
    for (size_t l = 0; l < y.size(); ++l) {
      term.value_grad[l].index_add_(0, kept[l].nonzero().view(-1), gradients[l]);
    }
  }
  return term;
}

}  // namespace crossloom::architectures
