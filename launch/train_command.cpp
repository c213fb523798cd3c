// crossloom train: shards → a trained transcoder.
#include "architectures/parameter_count.h"
#include "common/format.h"
#include "common/log.h"
#include "common/process_memory.h"
#include "data/shard_set.h"
#include "launch/commands.h"
#include "launch/train_run.h"
#include "trainer/memory_plan.h"
#include "trainer/trainer.h"

namespace crossloom::launch {
namespace {

void print_costs(const trainer::TrainOptions& options, const data::ShardSet& shards, int ranks) {
  const architectures::TranscoderShape shape{shards.identity().layers, shards.identity().width_in,
                                             options.transcoder.features};
  architectures::Registry::instance().check(options.transcoder);
  const int64_t parameters = architectures::parameter_count(options.transcoder, shape);
  const auto plan = trainer::plan_memory(options, shape, parameters, shards, ranks);
  const double process = resident_memory_bytes();  // the program and its libraries
  log::info("{}: L = {}, D = {}, F = {}", options.transcoder.architecture, shape.layers,
            shape.width, shape.features);
  log::info("{} parameters; {} per checkpoint", parameters,
            human_bytes(trainer::checkpoint_bytes(options, parameters)));
  log::info(
      "peak memory of a rank, about: {} = weights {} + moments {} + gradients {} + rows {} + "
      "step {} + program {}",
      human_bytes(plan.total() + process), human_bytes(plan.weights), human_bytes(plan.moments),
      human_bytes(plan.gradients), human_bytes(plan.rows), human_bytes(plan.step),
      human_bytes(process));
}

void run(trainer::TrainOptions& options, Context& context) {
  require_set("data", options.data, "folder of shards");
  require_set("output", options.output, "run folder");
  auto& communicator = context.communicator;
  trainer::check_train_options(options, communicator.size());
  std::unique_ptr<data::ShardSet> shards;
  communicator.agree([&] { shards = std::make_unique<data::ShardSet>(options.data); });
  if (context.dry_run) {
    print_costs(options, *shards, communicator.size());
    return;
  }
  const auto summary = train_run(options, *shards, communicator);
  log::info("trained to step {}: {}", summary.step, summary.checkpoint);
}

}  // namespace

Command train_command() {
  return make_command<trainer::TrainOptions>("train", "train a transcoder on shards", {"data"},
                                             run);
}

}  // namespace crossloom::launch
