// The apply-now sink: Adam consumes a gradient where it is made, in the same pass over memory, and
// no gradient buffer exists. For steps of one token shard on one rank without clipping, whose norm
// would have to be known first. A parameter with several terms, or one that a stage cannot deliver
// in stretches, gathers in a buffer of its own until it is finished.
#pragma once

#include "trainer/updates.h"

namespace crossloom::trainer {

class ApplyingSink final : public architectures::ParameterSink {
 public:
  /// Of a step that has started; `updates` outlive it.
  explicit ApplyingSink(Updates& updates) : updates_(updates) {}

  at::Tensor gradient(size_t parameter) override { return updates_.of(parameter).gathered(); }
  void finished(size_t parameter) override { updates_.of(parameter).finish(); }
  architectures::GradientStretches* stretches(size_t parameter) override {
    Application& application = updates_.of(parameter);
    return application.gathers() ? nullptr : &application;
  }

 private:
  Updates& updates_;
};

}  // namespace crossloom::trainer
