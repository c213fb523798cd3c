// BatchTopK per layer: of a batch of T tokens the K·T largest positive entries are kept, so that a
// token may use more or fewer than K (transcoders.md 4.5). The bar is the K·T-th largest value of
// the whole batch, found outside over all ranks; every entry at least as large is kept (entries
// equal to the bar all are).
//
// A token alone has no batch: in use, entries above a stored threshold per layer are kept. The
// trainer keeps it as a moving average of the bars (transcoders.md 13); it is not trained.
#pragma once

#include "architectures/activation.h"

namespace crossloom::architectures {

class BatchTopK final : public Activation {
 public:
  /// Throws ConfigError unless 1 ≤ k ≤ features.
  BatchTopK(int64_t k, const TranscoderShape& shape, at::ScalarType type);

  /// L of them: threshold_0 [1], threshold_1, …
  const std::vector<Parameter>& parameters() const override { return parameters_; }
  Candidates propose(int64_t layer, const at::Tensor& h, int64_t first_feature,
                     Watch watch) const override;
  LayerCodes filter(int64_t layer, const Candidates& merged,
                    std::optional<double> bar) const override;
  int64_t batch_kept() const override { return k_; }
  void set_kept(int64_t k) override;
  std::string describe() const override;

 private:
  int64_t k_;
  int64_t features_;
  std::vector<Parameter> parameters_;
};

}  // namespace crossloom::architectures
