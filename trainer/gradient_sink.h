// Sinks: a micro-step's parameter gradients add up in a flat buffer. (The apply-now sink of the
// fused update comes with the fast step; both stand behind ParameterSink.)
#pragma once

#include "architectures/transcoder.h"
#include "trainer/flat_buffer.h"

namespace crossloom::trainer {

class AccumulatingSink : public architectures::ParameterSink {
 public:
  explicit AccumulatingSink(FlatBuffer& gradients) : gradients_(gradients) {}
  at::Tensor gradient(size_t parameter) override { return gradients_.view(parameter); }
  void finished(size_t) override {}

 private:
  FlatBuffer& gradients_;
};

/// Passes gradients on but not `finished`: for a term that is not the last of its micro-step.
class HoldingSink : public architectures::ParameterSink {
 public:
  explicit HoldingSink(architectures::ParameterSink& sink) : sink_(sink) {}
  at::Tensor gradient(size_t parameter) override { return sink_.gradient(parameter); }
  void finished(size_t) override {}

 private:
  architectures::ParameterSink& sink_;
};

}  // namespace crossloom::trainer
