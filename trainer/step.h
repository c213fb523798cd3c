// One training step: the stages of architectures/transcoder.h with the exchanges of a data-parallel
// run between them.
//
//   normalise │ Σy, V_l over the global batch │ per token shard: propose │ batch bars │ filter →
//   decode → loss │ residual energies (AuxK) │ decode_backward → encode_backward │ gradients to
//   their owners │ global norm, guard, clip, Adam │ weights to everyone
//
// One rank with one shard and no clipping needs no gradients but where they are made: guard, then
// backward stages that update as they go (applying_sink.h).
//
// What a shard does is in token_shard.h; what needs the whole batch is here.
#pragma once

#include <optional>
#include <vector>

#include "architectures/transcoder.h"
#include "data/batch.h"
#include "data/normalizer.h"
#include "trainer/applying_sink.h"
#include "trainer/exchange.h"
#include "trainer/guard.h"
#include "trainer/token_shard.h"

namespace crossloom::trainer {

struct StepResult {
  double loss = 0.0;             // all terms
  double reconstruction = 0.0;   // Σ_l Σ_t ‖y − ŷ‖² / N_l
  double sparsity = 0.0;         // the tanh term, λ included
  double pre_activation = 0.0;   // the pre-activation term
  double auxiliary = 0.0;        // the AuxK term
  std::vector<double> fvu;       // [L], of the global batch
  std::vector<double> l0;        // [L], active features per token
  double gradient_norm = 0.0;    // before clipping
  double learning_rate = 0.0;    // of this step
  double sparsity_weight = 0.0;  // λ of this step
};

class Step {
 public:
  Step(architectures::Transcoder& transcoder, const data::Normalizer& normalizer,
       const TrainOptions& options, Communicator& communicator);
  Step(const Step&) = delete;  // gradients, updates point into it
  Step& operator=(const Step&) = delete;

  /// `batch` holds this rank's T/R tokens; `step` counts from 1; `dead` bool [L, F]. Updates the
  /// transcoder. Throws DataError as Guard does; then nothing has been updated, unless it is a
  /// gradient that left the finite numbers while it was applied.
  StepResult run(const data::Batch& batch, int64_t step, const at::Tensor& dead);

  /// The last step's numbers, also when its guard threw.
  const StepResult& result() const { return result_; }
  /// How often each feature was active in the last step, over all ranks: int64 [L, F].
  const at::Tensor& fired() const { return fired_; }
  /// Exact moments of what this rank owns; not where they are stored in few bytes.
  const Moments& moments() const { return moments_.value(); }
  /// Moments in few bytes; null: exact ones.
  const ParameterStates* states() const { return states_ ? &*states_ : nullptr; }
  const FlatLayout& layout() const { return layout_; }
  /// What this rank owns of the flat vector.
  Range owned() const { return exchange_.owned(layout_); }
  Updates& updates() { return updates_.value(); }
  const Exchange& exchange() const { return exchange_; }

 private:
  Updates make_updates();
  void load(const data::Batch& batch);
  /// V_l: Σ_t ‖rows_t − mean‖² over the global batch, rows(shard, layer) [T/S, D].
  template <typename Rows>
  std::vector<double> centred_energies(Rows&& rows) const;
  void add_auxk(StepTerms& terms, const at::Tensor& dead) const;
  void collect(const StepTerms& terms, const std::vector<double>& energies);
  /// Throws Diverged, on all ranks alike, where a pre-activation of one of them is not finite.
  void propose(int64_t step);
  /// Loss terms of a batch up to its codes' errors; y_grad is then there.
  StepTerms forward(const at::Tensor& dead, int64_t step, const std::vector<double>& energies);
  void backward_and_apply(const StepTerms& terms, const std::vector<double>& energies,
                          int64_t step);
  void backward_and_update(const StepTerms& terms, const std::vector<double>& energies,
                           int64_t step);
  double global_norm(const at::Tensor& own_gradient) const;
  /// Of the gradients: what brings their norm down to clip_norm.
  double clip_scale() const;
  void start_updates(int64_t step, double scale);
  void store_thresholds(const std::vector<double>& bars, int64_t step);

  architectures::Transcoder& transcoder_;
  const data::Normalizer& normalizer_;
  const TrainOptions& options_;
  Exchange exchange_;
  FlatLayout layout_;
  std::vector<FlatBuffer> gradients_;  // [S/R]; none where they are applied as they come
  std::vector<TokenShard> shards_;     // [S/R]
  std::optional<Moments> moments_;
  std::optional<ParameterStates> states_;
  std::optional<Updates> updates_;
  std::vector<int64_t> prefixes_;  // nested groups below the whole
  Guard guard_;
  at::Tensor fired_;  // int64 [L, F]
  StepResult result_;
};

}  // namespace crossloom::trainer
