// What a training run will hold in memory, from its options alone. Bytes on one of R ranks, with n
// parameters of b bytes each, S/R token shards of T/S tokens on a rank:
//
//   weights     n b, or 2 n in bfloat16
//   moments     two per parameter (one with β₁ = 0 in few bytes), of b, 2 or 1 + 4/64 bytes, on
//               their owners: / R
//   gradients   n b per shard of the rank. One shard without clipping applies them where they are
//               made: none, unless AuxK or nested prefixes add terms
//   rows        blocks of the loader's window, and batches as they are stored
//   step        x, y, ŷ, ∂ŷ: 4 (T/R) L D b; ∂ŷ in panels: (T/S) L D b; one layer's
//               pre-activations: (T/S) F b, or a screen's estimates of as many layers as threads
//               take side by side (layers_at_once in kernels/estimates.h), and with bfloat16
//               weights an encoder as it is computed with: F D b
//
// Codes of a dense layer (ReLU, JumpReLU early in a run) and their gradient come on top:
// 2 (T/S) F b each.
#pragma once

#include <string>

#include "architectures/transcoder.h"
#include "data/shard_set.h"
#include "trainer/train_options.h"

namespace crossloom::trainer {

struct MemoryPlan {
  double weights = 0.0;  // bytes, as everything here
  double moments = 0.0;
  double gradients = 0.0;
  double rows = 0.0;
  double step = 0.0;
  double evaluation = 0.0;  // at the end, on top of the rest

  double total() const { return weights + moments + gradients + rows + step + evaluation; }
  /// One line for a user; `program`: what the process holds without a run.
  std::string text(double program) const;
};

/// Without evaluation. `rows`: bytes of cached rows in memory, loader_bytes in a run.
MemoryPlan plan_memory(const TrainOptions& options, const architectures::TranscoderShape& shape,
                       int64_t parameters, double rows, int ranks);

/// Bytes of the window's blocks and of a rank's batches.
double loader_bytes(const data::LoaderOptions& options, const data::ShardSet& shards, int ranks);

/// Bytes of weights and moments: what a checkpoint of so many parameters takes.
double checkpoint_bytes(const TrainOptions& options, int64_t parameters);

}  // namespace crossloom::trainer
