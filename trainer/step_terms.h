// What a step's loss consists of (token_shard.h), from the options, the step's number and what is
// known of the whole batch.
#pragma once

#include <vector>

#include "architectures/auxk.h"
#include "architectures/transcoder.h"
#include "trainer/train_options.h"

namespace crossloom::trainer {

/// What a step is made of, the same for every shard and rank.
struct StepTerms {
  std::vector<double> denominators;     // [L] N_l
  std::vector<int64_t> prefixes;        // of the nested groups below the whole; usually none
  std::vector<double> bars;             // [L] of BatchTopK; empty: none
  std::vector<at::Tensor> norms;        // [L] of [F] n_i; empty: no tanh penalty
  double sparsity_weight = 0.0;         // λ / T
  double sparsity_scale = 0.0;          // c
  bool through_norms = false;           // whether the penalty's gradient reaches the decoders
  std::vector<at::Tensor> silent_pull;  // [L] of [F] w_i; empty: no pre-activation loss
  std::vector<at::Tensor> pull_norms;   // [L] of [F] n_i in w_i; empty: w_i has no gradient
  architectures::AuxKTerm auxk;         // its `dead` undefined: no AuxK
};

/// The terms of step `step`, without bars and AuxK. energies [L]: V_l of the whole batch; prefixes:
/// matryoshka_prefixes(options); dead bool [L, F].
StepTerms step_terms(const architectures::Transcoder& transcoder, const TrainOptions& options,
                     const std::vector<int64_t>& prefixes, const std::vector<double>& energies,
                     const at::Tensor& dead, int64_t step);

/// Whether `dead` has features for AuxK to revive.
bool wants_auxk(const TrainOptions& options, const at::Tensor& dead);

/// α m_l / V^e_l with m_l = min(dead features / K_aux, 1). energies [L]: V^e_l of the residuals.
architectures::AuxKTerm auxk_term(const TrainOptions& options, const at::Tensor& dead,
                                  const std::vector<double>& energies);

}  // namespace crossloom::trainer
