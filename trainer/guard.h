// Stops a run that has gone wrong before its weights are overwritten with nonsense: a loss or
// gradient that is not finite, a loss far above its running mean or above any use, or a penalty
// that has silenced every feature. The error names the cause and what to change; the trainer writes
// a dump beside the checkpoints, which stay as they were.
#pragma once

#include "common/error.h"
#include "trainer/train_options.h"

namespace crossloom::trainer {

struct StepResult;

/// Training has gone wrong; thrown by all ranks alike. The data may be good.
class Diverged : public DataError {
 public:
  using DataError::DataError;
};

class Guard {
 public:
  explicit Guard(const TrainOptions& options) : options_(options) {}

  /// Throws Diverged; `result` is the same on all ranks, so all throw alike.
  void check(const StepResult& result, int64_t step);
  /// Throws Diverged; `got` says what was found first.
  [[noreturn]] void stop_non_finite(const std::string& got, int64_t step) const;
  /// Only whether loss and gradient norm are finite.
  void check_finite(const StepResult& result, int64_t step) const;

 private:
  [[noreturn]] void stop(const char* what, const std::string& expected, const std::string& got,
                         int64_t step) const;

  const TrainOptions& options_;
  double mean_loss_ = 0.0;    // running, time constant kMemory_steps
  int64_t steps_seen_ = 0;    // since this start
  int64_t silent_steps_ = 0;  // in a row, without any active feature
};

}  // namespace crossloom::trainer
