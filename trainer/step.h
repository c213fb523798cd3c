// One training step: the stages of architectures/transcoder.h with the exchanges of a data-parallel
// run between them.
//
//   normalise │ Σy, V_l over the global batch │ per token shard: propose → filter → decode → loss →
//   decode_backward → encode_backward │ gradients to their owners │ global norm, clip, Adam │
//   weights to everyone
//
// Loss = Σ_l FVU_l, FVU_l = Σ_t ‖y − ŷ‖² / V_l with V_l of the global batch (losses.h).
#pragma once

#include <vector>

#include "architectures/transcoder.h"
#include "data/batch.h"
#include "data/normalizer.h"
#include "trainer/adam.h"
#include "trainer/exchange.h"

namespace crossloom::trainer {

struct StepResult {
  double loss = 0.0;           // Σ_l FVU_l
  std::vector<double> fvu;     // [L], of the global batch
  std::vector<double> l0;      // [L], kept features per token
  double gradient_norm = 0.0;  // before clipping
  double learning_rate = 0.0;
};

class Step {
 public:
  Step(architectures::Transcoder& transcoder, const data::Normalizer& normalizer,
       const TrainOptions& options, Communicator& communicator);

  /// `batch` holds this rank's T/R tokens; `step` counts from 1. Updates the transcoder.
  /// Throws DataError when the loss is not finite (on all ranks alike).
  StepResult run(const data::Batch& batch, int64_t step);

  /// How often each feature fired in the last step, over all ranks: int64 [L, F].
  const at::Tensor& fired() const { return fired_; }
  FlatBuffer& weights() { return weights_; }
  Adam& adam() { return adam_; }
  const Exchange& exchange() const { return exchange_; }

 private:
  /// One virtual token shard: T/S tokens, normalised, and its partial results.
  struct Shard {
    std::vector<at::Tensor> x, y;    // [L] of [T/S, D]
    std::vector<at::Tensor> y_hat;   // [L] of [T/S, D]
    std::vector<at::Tensor> y_grad;  // [L] of [T/S, D]
    std::vector<double> squared;     // [L] Σ ‖y − ŷ‖²
    std::vector<double> kept;        // [L] codes
  };
  void load(const data::Batch& batch);
  std::vector<double> global_energies() const;
  void backward(Shard& shard, FlatBuffer& gradients, const std::vector<double>& energies);
  void count_fired(const architectures::Codes& codes);
  StepResult collect(const std::vector<double>& energies) const;
  double global_norm(const at::Tensor& own_gradient) const;

  architectures::Transcoder& transcoder_;
  const data::Normalizer& normalizer_;
  const TrainOptions& options_;
  Exchange exchange_;
  FlatBuffer weights_;
  std::vector<FlatBuffer> gradients_;  // [S/R]
  std::vector<Shard> shards_;          // [S/R]
  Adam adam_;                          // of this rank's own blocks
  at::Tensor scratch_;                 // partial gradients on their way to their owners
  at::Tensor fired_;                   // int64 [L, F]
};

}  // namespace crossloom::trainer
