// The inner loops of sparse encode, decode and backward: operations on one contiguous row of D
// numbers. Compiled for several instruction sets and chosen at load time; the association of sums
// is fixed per instruction set, so a machine gives the same bits for any thread count.
#pragma once

#include <cstdint>

namespace crossloom::architectures {

/// y += a · x
void axpy(int64_t n, float a, const float* x, float* y);
void axpy(int64_t n, double a, const double* x, double* y);

/// Σ x · y
float dot(int64_t n, const float* x, const float* y);
double dot(int64_t n, const double* x, const double* y);

/// Both at once over the same gradient row: returns Σ g · w and adds a · g to dw.
float dot_axpy(int64_t n, float a, const float* g, const float* w, float* dw);
double dot_axpy(int64_t n, double a, const double* g, const double* w, double* dw);

}  // namespace crossloom::architectures
