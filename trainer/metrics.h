// metrics.jsonl: one JSON object per report, append-only while training; on resume what lies beyond
// the checkpoint is cut off first, so that the file tells one story.
#pragma once

#include <string>

#include "common/json_file.h"
#include "trainer/step.h"

namespace crossloom::trainer {

class Metrics {
 public:
  /// Keeps lines of `<run folder>/metrics.jsonl` with "step" ≤ `resumed_step`. Only rank 0 writes.
  Metrics(const std::string& run_folder, int64_t resumed_step, bool writes);

  /// Whether a held-out evaluation of the resumed step is there; false on other ranks than 0.
  bool has_evaluation() const { return has_evaluation_; }
  /// Appends one line. Throws DataError when the disk is full.
  void append(const Json& line) const;

 private:
  std::string path_;
  bool writes_;
  bool has_evaluation_ = false;
};

/// Everything about a step: per layer and mean.
Json step_json(int64_t step, int64_t batch_tokens, const StepResult& result,
               const std::vector<double>& dead_share, double seconds_per_step);

}  // namespace crossloom::trainer
