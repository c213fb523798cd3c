// crossloom train: shards → a trained transcoder.
#include "architectures/parameter_count.h"
#include "common/format.h"
#include "common/log.h"
#include "common/process_memory.h"
#include "data/shard_set.h"
#include "launch/commands.h"
#include "launch/run_memory.h"
#include "launch/train_run.h"
#include "trainer/initial_transcoder.h"

namespace crossloom::launch {
namespace {

void print_costs(const trainer::TrainOptions& options, const data::ShardSet& shards, int ranks) {
  const architectures::TranscoderShape shape{shards.identity().layers, shards.identity().width_in,
                                             options.transcoder.features};
  const int64_t parameters = architectures::parameter_count(options.transcoder, shape);
  log::info("{}: L = {}, D = {}, F = {}", options.transcoder.architecture, shape.layers,
            shape.width, shape.features);
  log::info("{} parameters; {} per checkpoint", parameters,
            human_bytes(trainer::checkpoint_bytes(options, parameters)));
  log::info("{}", run_memory(options, shards, ranks).text(resident_memory_bytes()));
}

void run(trainer::TrainOptions& options, Context& context) {
  require_set("data", options.data, "folder of shards");
  require_set("output", options.output, "run folder");
  auto& communicator = context.communicator;
  std::unique_ptr<data::ShardSet> shards;
  communicator.agree([&] {  // before anything is written
    shards = std::make_unique<data::ShardSet>(options.data);
    trainer::check_training(options, *shards, communicator.size());
    if (!context.dry_run) {
      refuse_beyond_memory(options, *shards, communicator.size());
    }
  });
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
