// When each feature last fired, in tokens seen. A feature silent for longer than the window is
// dead. Counts are summed over ranks and are exact integers, so they do not depend on the rank
// count.
#pragma once

#include <vector>

#include "common/tensor.h"

namespace crossloom::trainer {

class DeadFeatures {
 public:
  DeadFeatures(int64_t layers, int64_t features);

  /// `fired` int64 [L, F]: how often in the last `tokens` tokens, over all ranks.
  void update(const at::Tensor& fired, int64_t tokens);

  /// Share of each layer's features that did not fire in the last `window_tokens` tokens, [L].
  std::vector<double> dead_share(int64_t window_tokens) const;

  /// Tokens since each feature last fired (since the start when it never did): int64 [L, F].
  const at::Tensor& silent_tokens() const { return silent_; }

 private:
  at::Tensor silent_;
};

}  // namespace crossloom::trainer
