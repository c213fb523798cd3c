// TopK per layer and token: the K largest entries of ReLU(h) are kept, everything else is 0
// (transcoders.md 4.4). Ties: larger value first, then the lower index. Only positive entries are
// kept, so a token may have fewer than K. Gradient through kept entries only.
#pragma once

#include "architectures/activation.h"

namespace crossloom::architectures {

class TopK final : public Activation {
 public:
  /// Throws ConfigError unless 1 ≤ k ≤ features.
  TopK(int64_t k, int64_t features);

  /// At most K candidates per token, all positive: index, value [T, min(K, F')].
  Candidates propose(int64_t layer, const at::Tensor& h, int64_t first_feature) const override;
  LayerCodes filter(int64_t layer, const Candidates& merged) const override;
  std::string describe() const override;

 private:
  int64_t k_;
};

}  // namespace crossloom::architectures
