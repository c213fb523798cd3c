// Codes as a matrix and back: where a large share of features is active, a GEMM over [T, F] beats
// gathered rows.
#pragma once

#include "architectures/codes.h"

namespace crossloom::architectures::kernels {

/// `values` [nnz] at the codes' entries of a matrix [T, features], 0 elsewhere.
at::Tensor densify(const LayerCodes& codes, const at::Tensor& values, int64_t features);

/// matrix [T, F] at the codes' entries: [nnz].
at::Tensor gather_entries(const LayerCodes& codes, const at::Tensor& matrix);

}  // namespace crossloom::architectures::kernels
