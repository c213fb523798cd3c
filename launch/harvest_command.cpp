// crossloom harvest: a host model reads text; what its MLPs read and write goes into HDF5 shards.
#include "data/harvest.h"

#include "common/format.h"
#include "common/log.h"
#include "launch/commands.h"

namespace crossloom::launch {
namespace {

void run(data::HarvestOptions& options, Context& context) {
  require_set("model", options.model, "model folder");
  require_set("output", options.output, "output folder");
  if (options.text.empty()) {
    require_set("text", "", "text file or folder");
  }
  if (context.dry_run) {
    const auto spec = models::read_model_spec(options.model);
    log::info("{} tokens take {} of shards; the model takes {} per rank", options.max_tokens,
              human_bytes(double(data::shard_bytes(spec, options.max_tokens))),
              human_bytes(double(spec.weight_bytes(options.dtype == "bfloat16" ? 2 : 4))));
    return;
  }
  const auto manifest = data::harvest(options, context.communicator);
  log::info("{} rows in {} shards: {}", manifest.rows, manifest.shards.size(), options.output);
}

}  // namespace

Command harvest_command() {
  return make_command<data::HarvestOptions>("harvest", "cache a model's activations in HDF5 shards",
                                            {"model"}, run);
}

}  // namespace crossloom::launch
