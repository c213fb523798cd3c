// CUDA twin of architectures/kernels/decode.h: everything that layers write to all targets, in one
// launch that a graph may capture.
#pragma once

#include <cuda_runtime_api.h>

#include "common/cuda_work.h"

namespace crossloom::architectures::kernels {

/// y[t] += Σ_writes Σ_{i active} a_{t,i} · table[i] for every target and token. An element gets its
/// terms one fused multiply-add at a time, writes in order, features ascending: the bits of
/// run_decode where the CPU has that instruction. Enqueued on `stream`; returns the launch's error.
cudaError_t run_decode_cuda(const CudaDecode& work, cudaStream_t stream);

}  // namespace crossloom::architectures::kernels
