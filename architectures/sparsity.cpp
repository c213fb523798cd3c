#include "architectures/sparsity.h"

#include "architectures/kernels/feature_lists.h"

namespace crossloom::architectures {

SparsityTerm tanh_penalty(const Codes& codes, const std::vector<at::Tensor>& norms, double weight,
                          double scale, bool through_norms) {
  CROSSLOOM_CHECK(norms.size() == codes.size(), "{} layers of norms", norms.size());
  SparsityTerm term;
  for (size_t l = 0; l < codes.size(); ++l) {
    const LayerCodes& layer = codes[l];
    const at::Tensor n = norms[l].index_select(0, layer.index);       // [nnz]
    const at::Tensor height = (layer.value * n).mul_(scale).tanh_();  // tanh u
    term.loss += weight * height.sum(at::kDouble).item<double>();
    const at::Tensor slope = height.square().neg_().add_(1.0);  // sech² u
    term.value_grad.push_back((slope * n).mul_(weight * scale));
    if (through_norms) {
      const at::Tensor per_code = (slope * layer.value).mul_(weight * scale);
      const at::Tensor sums = at::zeros_like(norms[l]);
      kernels::add_weight_sums(layer, per_code, sums);
      term.norm_grad.push_back(at::where(norms[l].gt(0), sums / norms[l], at::zeros_like(sums)));
    }
  }
  return term;
}

std::vector<at::Tensor> sum_of_norm_gradients(std::vector<at::Tensor> one,
                                              const std::vector<at::Tensor>& other) {
  if (one.empty() || other.empty()) {
    return one.empty() ? other : one;
  }
  for (size_t l = 0; l < one.size(); ++l) {
    one[l] = one[l] + other[l];
  }
  return one;
}

}  // namespace crossloom::architectures
