#include "architectures/source_tied.h"

namespace crossloom::architectures {

void SourceTied::add_all_writes(const Codes& codes, ColumnRange columns,
                                const std::vector<at::Tensor>& y_hat) const {
  const at::Tensor prefix = at::zeros_like(y_hat[0]);  // Σ_{l ≤ l'} z^l, [T, d]
  for (int64_t target = 0; target < shape().layers; ++target) {
    add_own_writes(target, codes, columns, prefix);
    y_hat[static_cast<size_t>(target)].add_(prefix);
  }
}

CodeGradients SourceTied::decode_backward(const Codes& codes, const std::vector<at::Tensor>& y_grad,
                                          ColumnRange columns,
                                          const std::vector<at::Tensor>& norm_grad,
                                          ParameterSink& sink) const {
  CROSSLOOM_CHECK(!y_grad.empty(), "no layers of y_grad");
  std::vector<at::Tensor> suffix(y_grad.size());  // E^l
  suffix.back() = y_grad.back();
  for (size_t l = y_grad.size() - 1; l > 0; --l) {
    suffix[l - 1] = y_grad[l - 1] + suffix[l];
  }
  return backward_within(0, codes, suffix, columns, norm_grad, sink);
}

}  // namespace crossloom::architectures
