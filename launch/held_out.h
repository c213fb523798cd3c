// The held-out reconstruction as every command measures it. NaN weights are told from bad data
// first: a kernel that never selects a NaN would give them a plausible error.
#pragma once

#include "common/communicator.h"
#include "eval/reconstruction.h"

namespace crossloom::launch {

/// eval::evaluate_reconstruction. Collective. Throws trainer::Diverged, on all ranks alike, when a
/// weight is not finite; else what that throws.
eval::Reconstruction reconstruct_held_out(const architectures::Transcoder& transcoder,
                                          const data::Normalizer& normalizer,
                                          const data::ShardSet& shards,
                                          const data::RowSelection& held_out,
                                          Communicator& communicator);

}  // namespace crossloom::launch
