#include "trainer/dead_features.h"

namespace crossloom::trainer {

DeadFeatures::DeadFeatures(int64_t layers, int64_t features)
    : silent_(at::zeros({layers, features}, at::TensorOptions(at::kLong))) {}

void DeadFeatures::update(const at::Tensor& fired, int64_t tokens) {
  silent_.add_(tokens).masked_fill_(fired.gt(0), 0);
}

std::vector<double> DeadFeatures::dead_share(int64_t window_tokens) const {
  const at::Tensor share = silent_.ge(window_tokens).to(at::kDouble).mean(1);
  return {share.const_data_ptr<double>(), share.const_data_ptr<double>() + share.size(0)};
}

}  // namespace crossloom::trainer
