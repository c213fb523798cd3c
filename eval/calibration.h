// From a selection over a token or a batch to a threshold per feature (transcoders.md 13): a TopK
// or BatchTopK transcoder as a JumpReLU one, whose codes depend on nothing but the token itself.
//
//   θ_l = the (K·T)-th largest positive pre-activation of layer l over T training rows
//
// so that K features per token exceed it on average. Afterwards always measure L0 and NMSE of both
// rules on held-out rows.
#pragma once

#include "common/json_file.h"
#include "data/shard_set.h"
#include "eval/trained_transcoder.h"

namespace crossloom::eval {

/// [L], from `sample` rows at equal distances over `training`, for K features per token. Throws
/// DataError when a layer has fewer than K positive pre-activations per token.
std::vector<double> calibrated_thresholds(const TrainedTranscoder& trained,
                                          const data::ShardSet& shards,
                                          const data::RowSelection& training, int64_t k,
                                          int64_t sample);

/// Thresholds from a JSON file: {"thresholds": [L entries]}, each a number or a list of F numbers;
/// other keys are ignored. Returns float64 [L, F]. Throws DataError naming the layer when a length
/// is wrong or a number is not positive.
at::Tensor read_thresholds(const std::string& path, const architectures::TranscoderShape& shape);

/// [L, F] as the list that read_thresholds reads back exactly: one number for a layer whose
/// features share it.
Json thresholds_json(const at::Tensor& thresholds);

/// The name of the JumpReLU architecture of the same topology and skip. Throws ConfigError when
/// there is none, or nothing to replace.
std::string jumprelu_form(const std::string& architecture);

/// That architecture with these thresholds, float64 [L, F], and the weights of `from`. Throws
/// ConfigError as jumprelu_form does.
std::unique_ptr<architectures::Transcoder> with_thresholds(const architectures::Transcoder& from,
                                                           const at::Tensor& thresholds);

}  // namespace crossloom::eval
