// The accumulating sink: a micro-step's parameter gradients add up in a flat buffer. (The apply-now
// sink of the fused update comes with the fast step; both stand behind ParameterSink.)
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

}  // namespace crossloom::trainer
