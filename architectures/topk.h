// TopK per layer and token: the K largest entries of ReLU(h) are kept, everything else is 0
// (transcoders.md 4.4). Ties: larger value first, then the lower index. Only positive entries are
// kept, so a token may have fewer than K. Gradient through kept entries only.
#pragma once

#include "architectures/screened_activation.h"

namespace crossloom::architectures {

/// Throws ConfigError unless 1 ≤ k ≤ features.
void check_kept(int64_t k, int64_t features);

class TopK final : public ScreenedActivation {
 public:
  /// Throws ConfigError unless 1 ≤ k ≤ features.
  TopK(int64_t k, int64_t features);

  /// At most K candidates per token, all positive.
  Candidates propose(int64_t layer, const at::Tensor& h, int64_t first_feature,
                     Watch watch) const override;
  /// The K best of each row.
  LayerCodes filter(int64_t layer, const Candidates& merged,
                    std::optional<double> bar) const override;
  void set_kept(int64_t k) override;
  std::string describe() const override;

 protected:
  std::optional<Candidates> screened(const EncoderProduct& product, Watch watch) const override;

 private:
  int64_t k_;
  int64_t features_;
};

}  // namespace crossloom::architectures
