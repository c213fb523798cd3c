// CUDA twin of architectures/kernels/feature_pass.h: the backward pass over weight rows, feature by
// feature, all passes of all layers in one launch that a graph may capture.
#pragma once

#include <cuda_runtime_api.h>

#include "common/cuda_work.h"

namespace crossloom::architectures::kernels {

/// For every pass and feature i:  g[i] = start_i · S[i] + Σ_{t: i active} weight_{t,i} · rows[t],
/// added to the gradient or, with `work.adam`, used up by Adam where it was made;
/// reach_{t,i} += ⟨table[i], rows[t]⟩ with the table as it was before. Adam updates also the rows
/// of features without codes. An element of g has the bits of run_feature_passes where the CPU has
/// fused multiply-adds; a reach is summed in another order, the same in every run. Enqueued on
/// `stream`; returns the launch's error.
cudaError_t run_feature_passes_cuda(const CudaFeaturePasses& work, cudaStream_t stream);

}  // namespace crossloom::architectures::kernels
