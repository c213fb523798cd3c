// The transcoder a run starts from: initial weights are a function of the seed, biases are set from
// the data (transcoders.md 8). All of it is a function of (options, corpus), not of the rank count.
#pragma once

#include <memory>

#include "architectures/transcoder.h"
#include "data/shard_set.h"
#include "trainer/train_options.h"

namespace crossloom::trainer {

/// What a run would refuse of options and shards together, before anything is written. Throws
/// ConfigError or DataError.
void check_training(const TrainOptions& options, const data::ShardSet& shards, int ranks);

/// b_dec = mean ỹ; b_enc = −W_enc mean x̃, or with start.firing_rate ρ > 0
/// b_enc,i = θ_i − the (1 − ρ) quantile of W_enc,i · x̃ over start.sample_tokens training rows.
/// For options and shards that check_training accepts. Throws DataError when rows cannot be read.
std::unique_ptr<architectures::Transcoder> make_transcoder(const TrainOptions& options,
                                                           const data::ShardSet& shards);

/// Per-layer means as float64 [L, D].
at::Tensor mean_rows(const std::vector<double>& means, int64_t layers);

}  // namespace crossloom::trainer
