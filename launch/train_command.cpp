// crossloom train: shards → a trained transcoder.
#include "architectures/parameter_count.h"
#include "common/format.h"
#include "common/log.h"
#include "data/shard_set.h"
#include "launch/commands.h"
#include "launch/train_run.h"
#include "trainer/trainer.h"

namespace crossloom::launch {
namespace {

void print_costs(const trainer::TrainOptions& options, const data::ShardSet& shards, int ranks) {
  const architectures::TranscoderShape shape{shards.identity().layers, shards.identity().width_in,
                                             options.transcoder.features};
  architectures::Registry::instance().check(options.transcoder);
  const int64_t parameters = architectures::parameter_count(options.transcoder, shape);
  const double checkpoint = checkpoint_bytes(options, parameters);
  const double weights = checkpoint / 3.0;
  // Weights and gradients on every rank, partial gradients in flight, moments on their owners.
  const double memory = weights * (ranks == 1 ? 2.0 : 3.0) + 2.0 * weights / ranks;
  log::info("{}: L = {}, D = {}, F = {}", options.transcoder.architecture, shape.layers,
            shape.width, shape.features);
  log::info("{} parameters; {} per rank besides batches; {} per checkpoint", parameters,
            human_bytes(memory), human_bytes(checkpoint));
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
