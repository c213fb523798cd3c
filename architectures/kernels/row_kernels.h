// The two inner loops of all sparse work: a weighted sum of table rows, and dot products with table
// rows. Raw pointers, no tensors; compiled for baseline x86-64, AVX2 and AVX-512, chosen by CPU
// feature on first use (the release build itself is generic).
//
// The association of every sum is fixed by (count, n) alone, so results do not depend on thread
// count or on how the callers cut the work; they may differ between instruction sets.
#pragma once

#include <cstdint>
#include <vector>

namespace crossloom::architectures::kernels {

/// The loops as compiled for one instruction set; Real is float or double.
template <typename Real>
struct RowKernels {
  const char* instruction_set;

  /// y[i] += Σ_j weight[j] · table[index[j]·stride + i] for i in [0, n): one addition at a time,
  /// j ascending. The block of y stays in registers, so a table row costs one load per element.
  void (*gather_add)(int64_t count, const int32_t* index, const Real* weight, const Real* table,
                     int64_t stride, int64_t n, Real* y);

  /// out[j] += Σ_i table[index[j]·stride + i] · x[i] for i in [0, n).
  void (*gather_dot)(int64_t count, const int32_t* index, const Real* table, int64_t stride,
                     int64_t n, const Real* x, Real* out);
};

/// Those that this CPU can run, best first.
template <typename Real>
std::vector<RowKernels<Real>> available_row_kernels();

/// The best of them.
template <typename Real>
const RowKernels<Real>& row_kernels() {
  static const RowKernels<Real> best = available_row_kernels<Real>().front();
  return best;
}

}  // namespace crossloom::architectures::kernels
