#include "architectures/batch_topk.h"

#include "architectures/kernels/screened_batch_topk.h"
#include "architectures/row_selection.h"
#include "architectures/topk.h"

namespace crossloom::architectures {

BatchTopK::BatchTopK(int64_t k, const TranscoderShape& shape, at::ScalarType type)
    : k_(k), features_(shape.features) {
  check_kept(k, features_);
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    parameters_.push_back({fmt::format("threshold_{}", layer), at::zeros({1}, type),
                           ShardRule::kReplicated, Training::kFixed});
  }
}

Candidates BatchTopK::propose(int64_t layer, const at::Tensor& h, int64_t first_feature,
                              Watch /*watch*/) const {
  return positive_rows(layer, h, first_feature);
}

std::optional<Candidates> BatchTopK::screened(const EncoderProduct& product, Watch watch) const {
  if (watch == Watch::kNothing) {  // in use: what counts is the threshold
    return std::nullopt;
  }
  return kernels::screened_batch_topk(product.x, product.weight, product.bias,
                                      k_ * batch_parts_ * product.x.size(0));
}

LayerCodes BatchTopK::filter(int64_t layer, const Candidates& merged,
                             std::optional<double> bar) const {
  if (bar) {
    return select_entries(merged, merged.value.ge(*bar));
  }
  return select_entries(
      merged, merged.value.gt(parameters_[static_cast<size_t>(layer)].value.item<double>()));
}

void BatchTopK::set_kept(int64_t k) {
  check_kept(k, features_);
  k_ = k;
}

std::string BatchTopK::describe() const {
  return fmt::format(
      "BatchTopK: the K·T largest of ReLU(h) per layer over a batch, K = {}; in use a threshold "
      "per layer",
      k_);
}

}  // namespace crossloom::architectures
