#include "launch/run_memory.h"

#include "architectures/parameter_count.h"
#include "common/error.h"
#include "common/process_memory.h"
#include "eval/reconstruction.h"

namespace crossloom::launch {

trainer::MemoryPlan run_memory(const trainer::TrainOptions& options, const data::ShardSet& shards,
                               int ranks) {
  const architectures::TranscoderShape shape{shards.identity().layers, shards.identity().width_in,
                                             options.transcoder.features};
  auto plan = trainer::plan_memory(options, shape,
                                   architectures::parameter_count(options.transcoder, shape),
                                   trainer::loader_bytes(options.loader, shards, ranks), ranks);
  if (options.loader.held_out_share > 0.0) {
    plan.evaluation = eval::reconstruction_bytes(shape, shards);
  }
  return plan;
}

void refuse_beyond_memory(const trainer::TrainOptions& options, const data::ShardSet& shards,
                          int ranks) {
  constexpr double kBeyond = 1.2;  // the plan is an estimate
  const double available = available_memory_bytes();
  const double program = resident_memory_bytes();
  const auto plan = run_memory(options, shards, ranks);
  if (available > 0.0 && plan.total() + program > kBeyond * available) {
    throw ConfigError(
        {.what = "The training does not fit into memory",
         .expected =
             fmt::format("about {}: what this machine has available", human_bytes(available)),
         .got = plan.text(program),
         .where = "memory plan (train --dry-run prints it)",
         .hint = "Use fewer features; weights: bfloat16, adam.states: 8bit and, on one rank, "
                 "adam.clip_norm: 0; or ranks on more machines; fewer loader.window_blocks for "
                 "the rows."});
  }
}

}  // namespace crossloom::launch
