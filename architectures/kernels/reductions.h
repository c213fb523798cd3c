// Sums whose order is fixed: the same bits for any thread count.
#pragma once

#include "common/tensor.h"

namespace crossloom::architectures::kernels {

/// Σ_t rows[t] as float64 [d]; rows real [T, d]. One thread per range of columns, tokens ascending.
at::Tensor column_sums(const at::Tensor& rows);

/// ‖rows[i]‖² as float64 [n]; rows real [n, d].
at::Tensor row_square_sums(const at::Tensor& rows);

}  // namespace crossloom::architectures::kernels
