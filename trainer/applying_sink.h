// The apply-now sink: Adam consumes a gradient where it is made, in the same pass over memory, and
// no gradient buffer exists. For steps of one token shard on one rank without clipping, whose norm
// would have to be known first. A parameter with several terms, or one that a stage cannot deliver
// in stretches, gathers in a buffer of its own until it is finished.
#pragma once

#include <memory>
#include <vector>

#include "architectures/transcoder.h"
#include "trainer/adam.h"
#include "trainer/flat_buffer.h"

namespace crossloom::trainer {

class ApplyingSink final : public architectures::ParameterSink {
 public:
  /// `weights` are the transcoder's own; all outlive the sink.
  ApplyingSink(const std::vector<architectures::Parameter>& parameters, FlatBuffer& weights,
               Adam& adam);
  ~ApplyingSink() override;

  /// Before the backward stages: `learning_rate` of the weights, `threshold_rate` of thresholds.
  void start_step(int64_t step, double learning_rate, double threshold_rate);
  at::Tensor gradient(size_t parameter) override;
  void finished(size_t parameter) override;
  architectures::GradientStretches* stretches(size_t parameter) override;
  /// √Σ g² over all parameters of the step; its bits do not depend on threads.
  double gradient_norm() const;

 private:
  class Application;

  std::vector<std::unique_ptr<Application>> applications_;  // one per parameter
};

}  // namespace crossloom::trainer
