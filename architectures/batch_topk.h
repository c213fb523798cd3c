// BatchTopK per layer: of a batch of T tokens the K·T largest positive entries are kept, so that a
// token may use more or fewer than K (transcoders.md 4.5). The bar is the K·T-th largest value of
// the whole batch, found outside over all ranks; every entry at least as large is kept (entries
// equal to the bar all are).
//
// Where a batch comes in S parts of T/S tokens, a part's own K·T-th largest value is at most the
// bar, so that a part needs to propose no entry below it.
//
// A token alone has no batch: in use, entries above a stored threshold per layer are kept. The
// trainer keeps it as a moving average of the bars (transcoders.md 13); it is not trained.
#pragma once

#include "architectures/screened_activation.h"

namespace crossloom::architectures {

class BatchTopK final : public ScreenedActivation {
 public:
  /// Throws ConfigError unless 1 ≤ k ≤ features.
  BatchTopK(int64_t k, const TranscoderShape& shape, at::ScalarType type);

  /// L of them: threshold_0 [1], threshold_1, …
  const std::vector<Parameter>& parameters() const override { return parameters_; }
  /// All positive entries. In training (Watch::kGradients) propose_from may leave out what the
  /// batch's bar cannot reach.
  Candidates propose(int64_t layer, const at::Tensor& h, int64_t first_feature,
                     Watch watch) const override;
  LayerCodes filter(int64_t layer, const Candidates& merged,
                    std::optional<double> bar) const override;
  int64_t batch_kept() const override { return k_; }
  void set_kept(int64_t k) override;
  void set_batch_parts(int64_t parts) override { batch_parts_ = parts; }
  std::string describe() const override;

 protected:
  std::optional<Candidates> screened(const EncoderProduct& product, Watch watch) const override;

 private:
  int64_t k_;
  int64_t batch_parts_ = 1;
  int64_t features_;
  std::vector<Parameter> parameters_;
};

}  // namespace crossloom::architectures
