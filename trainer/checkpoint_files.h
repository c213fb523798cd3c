// The files inside a checkpoint folder (trainer/CHECKPOINT.md): written per rank, read by range.
#pragma once

#include <string>

#include "common/json_file.h"
#include "trainer/checkpoint.h"

namespace crossloom::trainer {

/// This rank's files: optimizer-<r>.safetensors; rank 0 also weights, features and config.
void write_rank_files(const std::string& folder, const TrainingState& state,
                      Communicator& communicator);

/// Step, identity, and every file with its size and xxh3-64.
Json make_manifest(const std::string& folder, int64_t step, const TrainingState& state,
                   const Communicator& communicator);

/// Compares what must be the same to go on; verifies checksums. Returns the step. Throws
/// ConfigError or DataError.
int64_t check_same_run(const std::string& folder, const TrainingState& state);

/// Compares a file with its checksum in the folder's manifest. Throws DataError.
void verify_checkpoint_file(const std::string& folder, const std::string& name);

/// Weights, this rank's blocks of the moments, feature densities.
void read_state_files(const std::string& folder, const TrainingState& state);

}  // namespace crossloom::trainer
