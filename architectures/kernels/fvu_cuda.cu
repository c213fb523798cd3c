// FVU backward on the GPU, one pass over memory (12 bytes per element: read y and ŷ, write the
// gradient). Block sums are added by one thread per block with an atomic on float64: the order of
// blocks is not fixed, so the deterministic mode must not use this kernel's sum.
#include "architectures/kernels/fvu_cuda.h"

namespace crossloom::architectures {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocksPerMultiprocessor = 8;
constexpr int kMultiprocessors = 132;  // H100; more blocks than that only queue

__global__ void fvu_backward_kernel(const float* __restrict__ y, const float* __restrict__ y_hat,
                                    int64_t count, float factor, float* __restrict__ y_hat_grad,
                                    double* squared_error) {
  __shared__ double warp_sums[kThreads / 32];
  double sum = 0.0;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count;
       i += stride) {
    const float difference = y[i] - y_hat[i];
    y_hat_grad[i] = factor * difference;
    sum += static_cast<double>(difference) * static_cast<double>(difference);
  }
  for (int lane = 16; lane > 0; lane /= 2) {
    sum += __shfl_down_sync(0xffffffffU, sum, lane);
  }
  if (threadIdx.x % 32 == 0) {
    warp_sums[threadIdx.x / 32] = sum;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double total = 0.0;
    for (int warp = 0; warp < kThreads / 32; ++warp) {
      total += warp_sums[warp];
    }
    atomicAdd(squared_error, total);
  }
}

}  // namespace

cudaError_t fvu_backward_cuda(const float* y, const float* y_hat, int64_t count, double energy,
                              float* y_hat_grad, double* squared_error, cudaStream_t stream) {
  const int64_t needed = (count + kThreads - 1) / kThreads;
  const int64_t most = static_cast<int64_t>(kMultiprocessors) * kBlocksPerMultiprocessor;
  const auto blocks = static_cast<unsigned>(needed < most ? needed : most);
  if (blocks == 0) {
    return cudaSuccess;
  }
  fvu_backward_kernel<<<blocks, kThreads, 0, stream>>>(
      y, y_hat, count, static_cast<float>(-2.0 / energy), y_hat_grad, squared_error);
  return cudaGetLastError();
}

}  // namespace crossloom::architectures
