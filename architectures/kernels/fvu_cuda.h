// CUDA twin of architectures/losses.h `squared_error_backward`: no LibTorch here, so that nvcc
// stays fast.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace crossloom::architectures {

/// y_hat_grad[i] = −2 (y − ŷ) / energy;  *squared_error += Σ (y − ŷ)².  All pointers on the device,
/// [count] float32; squared_error float64. Enqueued on `stream`; returns the launch's error.
cudaError_t fvu_backward_cuda(const float* y, const float* y_hat, int64_t count, double energy,
                              float* y_hat_grad, double* squared_error, cudaStream_t stream);

}  // namespace crossloom::architectures
