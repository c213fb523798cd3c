// Adam's coefficients as CUDA kernels take them.
#pragma once

#include "common/cuda_work.h"
#include "trainer/adam.h"

namespace crossloom::test {

inline CudaAdam cuda_adam(const trainer::AdamCoefficients<float>& c) {
  return {.scale = c.scale,
          .beta1 = c.beta1,
          .rest1 = c.rest1,
          .beta2 = c.beta2,
          .rest2 = c.rest2,
          .step_size = c.step_size,
          .root = c.root,
          .epsilon = c.epsilon};
}

}  // namespace crossloom::test
