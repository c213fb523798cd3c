// optimizer-<r>.safetensors: the moments of what rank r owns of the flat parameter vector
// (trainer/CHECKPOINT.md). Read by range, so that any rank count can go on from any other's files.
#pragma once

#include <string>

#include "trainer/step.h"

namespace crossloom::trainer {

std::string moments_file(int64_t rank);

/// Atomic. Throws DataError.
void write_moments_file(const std::string& path, const Step& step);

/// Copies what the file at `path` holds of what this rank owns. Throws DataError.
void read_moments_file(const std::string& path, Step& step);

}  // namespace crossloom::trainer
