// CUDA twins of trainer/flat_kernels.h adam_stretch and trainer/stored_kernels.h
// adam_stored_stretch: Adam over a stretch of parameters, one pass over memory. Coefficients lie in
// device memory, so that a captured launch takes those of its step.
#pragma once

#include <cuda_runtime_api.h>

#include "common/cuda_work.h"

namespace crossloom::trainer {

/// float32 weights and moments, 28 bytes per element; the bits of adam_stretch where the CPU has
/// fused multiply-adds. Enqueued on `stream`; returns the launch's error.
cudaError_t adam_stretch_cuda(const CudaAdamStretch& work, cudaStream_t stream);

/// Weights or moments in fewer bytes, the codes and the random bits of adam_stored_stretch, with
/// exact roots and quotients in place of the CPU's estimates: a code may differ by one step.
/// Enqueued on `stream`; returns the launch's error.
cudaError_t adam_stored_cuda(const CudaStoredStretch& work, cudaStream_t stream);

}  // namespace crossloom::trainer
