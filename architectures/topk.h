// TopK per layer and token: the K largest entries of ReLU(h) are kept, everything else is 0
// (transcoders.md 4.4). Ties: larger value first, then the lower index. Only positive entries are
// kept, so a token may have fewer than K. Gradient through kept entries only.
#pragma once

#include <optional>
#include <vector>

#include "architectures/activation.h"

namespace crossloom::architectures {

/// Throws ConfigError unless 1 ≤ k ≤ features.
void check_kept(int64_t k, int64_t features);

class TopK final : public Activation {
 public:
  /// Throws ConfigError unless 1 ≤ k ≤ features.
  TopK(int64_t k, int64_t features);

  /// At most K candidates per token, all positive.
  Candidates propose(int64_t layer, const at::Tensor& h, int64_t first_feature,
                     Watch watch) const override;
  /// Through products of bytes where that is faster (kernels/screened_topk.h).
  Candidates propose_from(int64_t layer, const EncoderProduct& product, Watch watch) const override;
  /// Several layers at a time, a thread each, where that busies all threads.
  std::vector<Candidates> propose_all(const std::vector<EncoderProduct>& layers,
                                      Watch watch) const override;
  /// The K best of each row.
  LayerCodes filter(int64_t layer, const Candidates& merged,
                    std::optional<double> bar) const override;
  void set_kept(int64_t k) override;
  std::string describe() const override;

 private:
  std::optional<Candidates> screened(const EncoderProduct& product) const;

  int64_t k_;
  int64_t features_;
};

}  // namespace crossloom::architectures
