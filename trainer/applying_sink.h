// The apply-now sink: Adam consumes a gradient where it is made, in the same pass over memory, and
// no gradient buffer exists. For steps of one token shard on one rank without clipping, whose norm
// would have to be known first. A parameter with several terms, or one that a stage cannot deliver
// in stretches, gathers in a buffer of its own until it is finished.
#pragma once

#include <cmath>
#include <memory>
#include <vector>

#include "trainer/application.h"

namespace crossloom::trainer {

class ApplyingSink final : public architectures::ParameterSink {
 public:
  /// One application per parameter, in their order.
  explicit ApplyingSink(std::vector<std::unique_ptr<Application>> applications)
      : applications_(std::move(applications)) {}

  /// Before the backward stages: `learning_rate` of the weights, `threshold_rate` of thresholds.
  void start_step(int64_t step, double learning_rate, double threshold_rate) {
    for (const auto& application : applications_) {
      const bool is_threshold =
          application->parameter().training == architectures::Training::kThreshold;
      application->start(step, is_threshold ? threshold_rate : learning_rate);
    }
  }
  at::Tensor gradient(size_t parameter) override { return applications_[parameter]->gathered(); }
  void finished(size_t parameter) override { applications_[parameter]->finish(); }
  architectures::GradientStretches* stretches(size_t parameter) override {
    Application& application = *applications_[parameter];
    return application.gathers() ? nullptr : &application;
  }
  /// √Σ g² over all parameters of the step; its bits do not depend on threads.
  double gradient_norm() const {
    double sum = 0.0;
    for (const auto& application : applications_) {
      sum += application->squares();
    }
    return std::sqrt(sum);
  }

 private:
  std::vector<std::unique_ptr<Application>> applications_;
};

}  // namespace crossloom::trainer
