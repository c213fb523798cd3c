// The inner loops of sparse work: a weighted sum of table rows, and table rows added to the tokens
// that use them. Raw pointers, no tensors; one body per instruction set (Highway), chosen at run
// time. Tables are float32, float64 or bfloat16; sums are of the other operands' type.
//
// The association of every sum is fixed by (count, n) alone, so results do not depend on thread
// count or on how the callers cut the work; they may differ between instruction sets.
#pragma once

#include <hwy/base.h>

#include <cstdint>

namespace crossloom::architectures::kernels {

using hwy::bfloat16_t;

/// y[i] += Σ_j weight[j] · table[index[j]·stride + i] for i in [0, n): one addition at a time, j
/// ascending. The block of y stays in registers, so a table row costs one load per element.
void gather_add(int64_t count, const int32_t* index, const float* weight, const float* table,
                int64_t stride, int64_t n, float* y);
void gather_add(int64_t count, const int32_t* index, const float* weight, const bfloat16_t* table,
                int64_t stride, int64_t n, float* y);
void gather_add(int64_t count, const int32_t* index, const double* weight, const double* table,
                int64_t stride, int64_t n, double* y);

/// Codes by feature (FeatureLists) as raw pointers.
template <typename Real>
struct ListView {
  const int64_t* offsets;  // [features + 1]
  const int32_t* token;
  const Real* weight;
  int64_t features;
};

/// y[token[j]·y_stride + i] += weight[j] · table[f·stride + i] for i in [0, n), for every feature f
/// and each of its j, ascending: each row is read once.
void scatter_add(const ListView<float>& lists, const float* table, int64_t stride, int64_t n,
                 float* y, int64_t y_stride);
void scatter_add(const ListView<float>& lists, const bfloat16_t* table, int64_t stride, int64_t n,
                 float* y, int64_t y_stride);
void scatter_add(const ListView<double>& lists, const double* table, int64_t stride, int64_t n,
                 double* y, int64_t y_stride);

}  // namespace crossloom::architectures::kernels
