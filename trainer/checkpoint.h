// Checkpoints: everything needed to go on as if nothing had happened, in a folder that is either
// complete or ignored (layout and rules: trainer/CHECKPOINT.md).
//
//   step_<n>.tmp/ … every rank writes and syncs its own files │ agree │ rank 0: manifest, sync,
//   rename to step_<n>, sync the parent, write DONE, sync │ older ones go: DONE first, then the
//   rest
//
// Moments are one flat vector (flat_layout.h); files name the range of it they hold
// (moments_file.h), so that any rank count can resume any checkpoint.
#pragma once

#include <string>

#include "common/communicator.h"
#include "data/normalizer.h"
#include "data/shard_identity.h"
#include "trainer/feature_density.h"
#include "trainer/step.h"

namespace crossloom::trainer {

/// What a checkpoint says about itself besides tensors.
struct RunIdentity {
  architectures::TranscoderShape shape;
  data::ShardIdentity shards;
  std::string cache;         // ShardSet::digest
  std::string options_yaml;  // resolved TrainOptions
};

/// What a checkpoint is written from and read into. Resuming compares `identity` and `options` with
/// those of the checkpoint and refuses others.
struct TrainingState {
  Step& step;
  FeatureDensity& density;
  const std::vector<architectures::Parameter>& parameters;
  const data::Normalizer& normalizer;
  const at::Tensor& target_means;  // float64 [L, D], of the raw targets, for mean ablation
  const RunIdentity& identity;
  const TrainOptions& options;
};

/// Collective. Writes `<run folder>/step_<n>` and removes older ones beyond keep_checkpoints.
/// Throws DataError (disk full, …) on all ranks; earlier checkpoints stay as they were.
void save_checkpoint(const std::string& run_folder, int64_t step, const TrainingState& state,
                     Communicator& communicator);

/// Collective. Fills the state from the folder; returns the step it was written after.
/// Throws DataError when files are damaged, ConfigError when options that change the arithmetic
/// differ (the message names the option).
int64_t load_checkpoint(const std::string& folder, const TrainingState& state,
                        Communicator& communicator);

}  // namespace crossloom::trainer
