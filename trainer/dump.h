// What a run leaves behind when its guard stops it: stopped_at_step_<n>.json in the run folder,
// with the last step's numbers and the extremes of the batch, so that the cause can be found.
#pragma once

#include "data/batch.h"
#include "trainer/step.h"

namespace crossloom::trainer {

/// Writes the dump; never throws (the error that stopped the run matters more).
void write_dump(const TrainOptions& options, const StepResult& result, const data::Batch& batch,
                int64_t step) noexcept;

}  // namespace crossloom::trainer
