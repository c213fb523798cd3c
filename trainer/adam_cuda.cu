// Adam in float32 on the GPU, one pass over memory: weights and both moments are read and written,
// the gradient is read, 28 bytes per element.
//
//   g ← scale · g;  m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²
//   w ← w − step_size · m / (√v · root + ε)
//
// Element-wise: its bits do not depend on how a vector is cut into stretches.
#include "architectures/kernels/adam_update_cuda.cuh"
#include "architectures/kernels/columns_cuda.cuh"
#include "architectures/kernels/launch_cuda.cuh"
#include "trainer/adam_cuda.h"

namespace crossloom::trainer {
namespace {

namespace kernels = architectures::kernels;

constexpr int kThreads = 256;
constexpr int kCount = 4;  // elements of a thread: 16 bytes of each array

__global__ void __launch_bounds__(kThreads) adam_kernel(const CudaAdamStretch work) {
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t begin = thread * kCount;
  const int live = kernels::live_columns(work.count, begin, kCount);
  const CudaAdam c = *work.coefficients;
  float w[kCount];
  float g[kCount];
  float m[kCount];
  float v[kCount];
  kernels::load_numbers(work.gradient + begin, live, g);
  kernels::load_numbers(work.weights + begin, live, w);
  kernels::load_numbers(work.first + begin, live, m);
  kernels::load_numbers(work.second + begin, live, v);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    kernels::adam_update(g[i], c, w[i], m[i], v[i]);
  }
  kernels::store_numbers(w, work.weights + begin, live);
  kernels::store_numbers(m, work.first + begin, live);
  kernels::store_numbers(v, work.second + begin, live);
}

}  // namespace

cudaError_t adam_stretch_cuda(const CudaAdamStretch& work, cudaStream_t stream) {
  const int64_t blocks = kernels::divide_up(work.count, kThreads * kCount);
  if (blocks == 0) {
    return cudaSuccess;
  }
  if (blocks > kernels::kMostBlocks) {
    return cudaErrorInvalidValue;
  }
  adam_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(work);
  return cudaGetLastError();
}

}  // namespace crossloom::trainer
