// CUDA twin of architectures/kernels/feature_lists.h group_by_feature: a layer's codes by feature,
// tokens ascending within a feature. A graph may capture it: how many codes there are is read on
// the device.
#pragma once

#include <cuda_runtime_api.h>

#include "common/cuda_work.h"

namespace crossloom::architectures::kernels {

/// Bytes of workspace for `capacity` codes of `features` features on the current device.
cudaError_t group_workspace_cuda(int64_t capacity, int64_t features, int64_t* size_bytes);

/// Fills work's list_offsets, token, weight and entry; of the last three what lies beyond the codes
/// is arbitrary. capacity < 2³¹. Enqueued on `stream`; returns the launches' first error.
cudaError_t group_by_feature_cuda(const CudaGrouping& work, cudaStream_t stream);

}  // namespace crossloom::architectures::kernels
