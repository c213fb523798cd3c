// How rates change over a run, as pure functions of the step (from 1) and the options, so that a
// resumed run needs no schedule state.
#pragma once

#include "trainer/train_options.h"

namespace crossloom::trainer {

/// Linear warm-up over warmup_steps; then constant, and over the last decay_share of what remains
/// down (linear or cosine) to final_rate · learning_rate after the last step.
double learning_rate_at(const AdamOptions& options, int64_t step, int64_t steps);

/// λ: from 0 at the start to `weight` after ramp_share of the steps, linear or half a cosine.
double sparsity_weight_at(const SparsityOptions& options, int64_t step, int64_t steps);

/// K: from `start` exponentially to k over `share` of the steps, then k; k when annealing is off.
int64_t kept_at(const KAnnealingOptions& options, int64_t k, int64_t step, int64_t steps);

/// Throws ConfigError naming the option.
void check_schedules(const TrainOptions& options);

}  // namespace crossloom::trainer
