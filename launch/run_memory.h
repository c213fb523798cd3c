// What a training run holds in memory, beside what this machine has.
#pragma once

#include "trainer/memory_plan.h"

namespace crossloom::launch {

/// Of one of so many ranks, from options and shards alone.
trainer::MemoryPlan run_memory(const trainer::TrainOptions& options, const data::ShardSet& shards,
                               int ranks);

/// Throws ConfigError when that is far more than can be had here. How many ranks share the machine
/// is not known, so only what this rank needs is compared.
void refuse_beyond_memory(const trainer::TrainOptions& options, const data::ShardSet& shards,
                          int ranks);

}  // namespace crossloom::launch
