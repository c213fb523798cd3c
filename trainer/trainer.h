// The loop: next batch, step, report, checkpoint, held-out evaluation. Time lives here; arithmetic
// lives in step.h, bytes in data/.
#pragma once

#include <functional>
#include <string>

#include "common/json_file.h"
#include "data/shard_set.h"
#include "trainer/checkpoint.h"

namespace crossloom::trainer {

/// Held-out evaluation, passed in by the command so that this room need not know eval/. Collective.
/// The JSON goes to metrics.jsonl; its "nmse" (mean over layers) is shown on the console.
using Evaluate =
    std::function<Json(const architectures::Transcoder& transcoder, const data::Normalizer&)>;

struct TrainSummary {
  std::string checkpoint;  // folder of the last one
  int64_t step = 0;
  StepResult last;  // of the last step taken here; empty when nothing was left to do
  Json held_out;    // of the last evaluation; null when there was none
};

/// Trains to `options.steps`, resuming when asked and possible. Collective over `communicator`.
/// Throws ConfigError, DataError, DistError; what is in the run folder stays loadable.
TrainSummary train(const TrainOptions& options, const data::ShardSet& shards,
                   Communicator& communicator, const Evaluate& evaluate);

}  // namespace crossloom::trainer
