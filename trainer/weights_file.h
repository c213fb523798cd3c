// weights.safetensors: a transcoder in training space with the scales that fold it, and all that
// identifies it: the one file that evaluation needs (trainer/CHECKPOINT.md; read by
// eval/trained_transcoder.h).
#pragma once

#include <string>

#include "architectures/transcoder.h"
#include "common/json_file.h"
#include "common/tensor_file.h"
#include "data/loader.h"
#include "data/normalizer.h"
#include "data/shard_identity.h"

namespace crossloom::trainer {

inline constexpr const char* kWeightsFile = "weights.safetensors";

/// The tensor, contiguous and on the CPU, as an entry of a tensor file; it must outlive the entry.
TensorToWrite to_write(const std::string& name, const at::Tensor& tensor);

/// Throws DataError unless an entry is of this type and shape; `where` names it.
void require_entry(const TensorEntry& entry, DType type, const std::vector<int64_t>& shape,
                   const std::string& where);

struct WeightsFile {
  const std::vector<architectures::Parameter>& parameters;
  const data::Normalizer& normalizer;
  const at::Tensor& target_means;  // float64 [L, D], of the raw targets
  const architectures::TranscoderOptions& transcoder;
  const data::LoaderOptions& loader;
  const architectures::TranscoderShape& shape;
  const data::ShardIdentity& shards;
  const std::string& cache;  // ShardSet::digest of what it was trained on
};

/// What a transcoder must be used with: model, tokenizer, hooks, BOS policy, sizes; and which
/// activations it was trained on.
Json identity_json(const architectures::TranscoderShape& shape, const data::ShardIdentity& shards,
                   const std::string& cache);

/// Atomic. Throws DataError.
void write_weights_file(const std::string& folder, const WeightsFile& file);

}  // namespace crossloom::trainer
