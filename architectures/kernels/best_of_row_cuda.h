// CUDA twin of architectures/kernels/best_of_row.h: the K largest positive entries of every row, in
// one launch that a graph may capture.
#pragma once

#include <cuda_runtime_api.h>

#include "common/cuda_work.h"

namespace crossloom::architectures::kernels {

/// Places of each row's best `kept` positive entries, ascending, with their values and how many
/// they are: what best_of_row finds, larger values first, ties to the lower index. kept ≥ 1, a row
/// has no NaN. Enqueued on `stream`; returns the launch's error.
cudaError_t best_of_rows_cuda(const CudaBestOfRow& work, cudaStream_t stream);

}  // namespace crossloom::architectures::kernels
