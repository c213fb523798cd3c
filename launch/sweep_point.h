// One point of a sweep: trained, evaluated, its result written. A point's folder is a run folder
// (trainer/CHECKPOINT.md) with two files more:
//   point.json    {"id", "config_hash", "config"}: written before training; from its first
//                 checkpoint on a point is what it says, evaluation aside until there is a result
//   result.json   written last; a point with one is finished. {"failed": why}: training diverged
// The hash is of the config (point_config.h).
#pragma once

#include <string>
#include <vector>

#include "common/communicator.h"
#include "common/json_file.h"
#include "data/shard_set.h"
#include "launch/eval_run.h"
#include "launch/sweep_plan.h"

namespace crossloom::launch {

/// What all points share, opened once.
struct SweepInputs {
  const SweepFile& file;
  const data::ShardSet& shards;
  std::vector<std::string> prompts;
  ReplacementReferences references{};
};

enum class PointState : uint8_t { kNew, kStarted, kFinished };

/// Throws ConfigError naming the first option that differs when the folder holds another point:
/// with a result all of them count, with checkpoints alone those of training, else none.
PointState point_state(const SweepPoint& point, const Json& config);

/// One without a finite NMSE is marked as failed. Throws DataError when the file is missing or
/// damaged.
Json read_result(const SweepPoint& point);

/// Trains (or goes on), evaluates, writes result.json, removes the weights unless they are kept.
/// Collective. Returns the result.
Json run_point(SweepInputs& inputs, const SweepPoint& point, Communicator& communicator);

/// Weights that an interruption left in a finished point's folder.
void remove_unwanted_weights(const SweepPoint& point, const Json& result);

}  // namespace crossloom::launch
