// One element of Adam on the device, for whoever has its gradient: a pass over stretches
// (trainer/adam_cuda.cu) or the thread that just made it (feature_pass_cuda.cu).
//
//   g ← scale · g;  m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²
//   w ← w − step_size · m / (√v · root + ε)
//
// Every operation is named, so that the compiler fuses none in another way than the CPU's twin
// (trainer/flat_kernels.cpp) does.
#pragma once

#include <cuda_runtime.h>

#include "common/cuda_work.h"

namespace crossloom::architectures::kernels {

__device__ inline void adam_update(float gradient, const CudaAdam& c, float& w, float& m,
                                   float& v) {
  const float g = __fmul_rn(gradient, c.scale);
  m = fmaf(c.beta1, m, __fmul_rn(c.rest1, g));
  v = fmaf(c.beta2, v, __fmul_rn(__fmul_rn(c.rest2, g), g));
  const float below = fmaf(__fsqrt_rn(v), c.root, c.epsilon);
  w = __fsub_rn(w, __fdiv_rn(__fmul_rn(c.step_size, m), below));
}

}  // namespace crossloom::architectures::kernels
