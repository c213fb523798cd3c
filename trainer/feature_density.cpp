#include "trainer/feature_density.h"

#include <cmath>

namespace crossloom::trainer {

FeatureDensity::FeatureDensity(int64_t layers, int64_t features, double window_tokens,
                               double min_density)
    : window_tokens_(window_tokens),
      min_density_(min_density),
      density_(at::zeros({layers, features}, at::kDouble)),
      seen_(at::zeros({1}, at::kLong)) {}

void FeatureDensity::update(const at::Tensor& fired, int64_t tokens) {
  const auto batch = static_cast<double>(tokens);
  const double keep = std::exp(-batch / window_tokens_);
  density_.mul_(keep).add_(fired.to(at::kDouble), (1.0 - keep) / batch);
  seen_.add_(tokens);
}

at::Tensor FeatureDensity::dead() const {
  const auto tokens = static_cast<double>(seen_.item<int64_t>());
  const double share_seen = 1.0 - std::exp(-tokens / window_tokens_);  // 0 before the first update
  return density_.lt(min_density_ * share_seen);
}

std::vector<double> FeatureDensity::dead_share() const {
  const at::Tensor share = dead().to(at::kDouble).mean(1);
  return {share.const_data_ptr<double>(), share.const_data_ptr<double>() + share.size(0)};
}

}  // namespace crossloom::trainer
