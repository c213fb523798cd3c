// A trained transcoder opened for reading: weights.safetensors of a checkpoint
// (trainer/CHECKPOINT.md) and nothing else of it.
#pragma once

#include <memory>
#include <string>

#include "architectures/transcoder.h"
#include "data/loader.h"
#include "data/normalizer.h"
#include "data/shard_identity.h"

namespace crossloom::eval {

struct TrainedTranscoder {
  std::string folder;                                     // the checkpoint used
  std::unique_ptr<architectures::Transcoder> transcoder;  // in training space
  data::Normalizer normalizer;
  data::ShardIdentity identity;  // of the shards it was trained on
  data::LoaderOptions loader;    // held-out share and seed
  at::Tensor target_mean;        // float64 [L, D], of the raw targets
  std::string cache{};           // ShardSet::digest of these shards; empty: not recorded
};

/// `folder` is a checkpoint or a run folder (newest complete checkpoint). Parameters are converted
/// to `type`. Throws DataError naming file and tensor.
TrainedTranscoder open_trained_transcoder(const std::string& folder, at::ScalarType type);

/// Folds the normalisation into the weights (transcoders.md 3.2): afterwards the transcoder reads
/// the model's own activations and writes its own MLP outputs, and the normaliser is the identity.
void fold_normalization(TrainedTranscoder& trained);

}  // namespace crossloom::eval
