// How well a transcoder reconstructs rows it was not trained on, per layer.
//
//   NMSE_l = Σ_t ‖y_t − ŷ_t‖² / Σ_t ‖y_t − ȳ_l‖²,  ȳ_l the mean over the same rows (centred FVU:
//            1 is the mean predictor, 0 is perfect); scale-free, so the same in both spaces.
//            Read once: Σ ‖y − ȳ‖² = Σ ‖y − c‖² − N ‖ȳ − c‖² with c near ȳ, the mean of all rows
//   L0_l   = active features per token;  dead_l = share of features that never fire on these rows
//   half_l = how many tokens carry half of the squared error: outlier tokens can rule a layer
#pragma once

#include <vector>

#include "architectures/transcoder.h"
#include "common/communicator.h"
#include "common/json_file.h"
#include "data/normalizer.h"
#include "data/shard_set.h"

namespace crossloom::eval {

struct Reconstruction {
  int64_t tokens = 0;
  std::vector<double> nmse, l0, dead;      // [L]
  std::vector<int64_t> half_error_tokens;  // [L]
  double mean_nmse() const;
  double mean_l0() const;
  double mean_dead() const;
  Json to_json() const;
};

/// Collective: ranks share the rows; the result does not depend on their number but for rounding in
/// float64. `transcoder` in the space of `normalizer`. Throws ConfigError without rows, DataError
/// where a layer's error is not finite.
Reconstruction evaluate_reconstruction(const architectures::Transcoder& transcoder,
                                       const data::Normalizer& normalizer,
                                       const data::ShardSet& shards, const data::RowSelection& rows,
                                       Communicator& communicator);

/// Bytes that a rank's evaluation holds at its peak, beside transcoder and normalizer.
double reconstruction_bytes(const architectures::TranscoderShape& shape,
                            const data::ShardSet& shards);

}  // namespace crossloom::eval
