// Sums over rows in float64, from numbers as they are stored: what losses, norms and biases are
// made of. Raw pointers; one body per instruction set (Highway), chosen at run time.
//
// The association of every sum is fixed by n alone, so results do not depend on thread count; they
// may differ between instruction sets.
#pragma once

#include <cstdint>

#include "architectures/kernels/row_kernels.h"

namespace crossloom::architectures::kernels {

/// Σ_i row[i]².
double square_sum(const float* row, int64_t n);
double square_sum(const double* row, int64_t n);
double square_sum(const bfloat16_t* row, int64_t n);

/// Σ_i (row[i] − centre[i])².
double squared_deviation(const float* row, const double* centre, int64_t n);
double squared_deviation(const double* row, const double* centre, int64_t n);

/// Σ_i e_i² of e = output − target; gradient[i] = scale · e_i, rounded once.
double squared_error(const float* output, const float* target, double scale, int64_t n,
                     float* gradient);
double squared_error(const double* output, const double* target, double scale, int64_t n,
                     double* gradient);

/// sums[i] += row[i].
void add_row(const float* row, int64_t n, double* sums);
void add_row(const double* row, int64_t n, double* sums);

}  // namespace crossloom::architectures::kernels
