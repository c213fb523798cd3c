#include "architectures/kernels/row_kernels.h"

#include <cstring>

// GCC makes one body per instruction set and picks at load time. Features, not `arch=` names: the
// latter are matched against the CPU's model and would miss other vendors' AVX-512.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define CROSSLOOM_MULTIVERSION __attribute__((target_clones("default", "fma", "avx512f")))
#else
#define CROSSLOOM_MULTIVERSION
#endif
#define CROSSLOOM_INLINE inline __attribute__((always_inline))

namespace crossloom::architectures::kernels {
namespace {

constexpr size_t kVectorBytes = 64;
constexpr int kVectors = 4;  // per register block: 256 bytes, the column unit in float32

template <typename Real>
struct Simd {
  typedef Real Vector __attribute__((vector_size(kVectorBytes)));
  static constexpr int64_t kLanes = static_cast<int64_t>(kVectorBytes / sizeof(Real));
};

/// One unaligned load or store (by reference: vectors by value would depend on the target's ABI).
template <typename Vector, typename Real>
CROSSLOOM_INLINE void load(Vector& vector, const Real* from) {
  std::memcpy(&vector, from, sizeof(vector));
}
template <typename Vector, typename Real>
CROSSLOOM_INLINE void store(Real* to, const Vector& vector) {
  std::memcpy(to, &vector, sizeof(vector));
}

/// y[0 : Count·lanes] += Σ_j weight[j] · row_j, the sum held in Count vector registers.
template <int Count, typename Real>
CROSSLOOM_INLINE void add_block(int64_t count, const int32_t* index, const Real* weight,
                                const Real* table, int64_t stride, Real* y) {
  using Vector = typename Simd<Real>::Vector;
  constexpr int64_t kLanes = Simd<Real>::kLanes;
  Vector sum[Count];
  for (int v = 0; v < Count; ++v) {
    load(sum[v], y + v * kLanes);
  }
  for (int64_t j = 0; j < count; ++j) {
    const Real* row = table + index[j] * stride;
    const Real w = weight[j];
    for (int v = 0; v < Count; ++v) {
      Vector part;
      load(part, row + v * kLanes);
      sum[v] += w * part;
    }
  }
  for (int v = 0; v < Count; ++v) {
    store(y + v * kLanes, sum[v]);
  }
}

template <typename Real>
CROSSLOOM_INLINE void gather_add_body(int64_t count, const int32_t* index, const Real* weight,
                                      const Real* table, int64_t stride, int64_t n, Real* y) {
  constexpr int64_t kLanes = Simd<Real>::kLanes;
  int64_t i = 0;
  for (; i + kVectors * kLanes <= n; i += kVectors * kLanes) {
    add_block<kVectors>(count, index, weight, table + i, stride, y + i);
  }
  for (; i + kLanes <= n; i += kLanes) {
    add_block<1>(count, index, weight, table + i, stride, y + i);
  }
  for (; i < n; ++i) {
    Real sum = y[i];
    for (int64_t j = 0; j < count; ++j) {
      sum += weight[j] * table[index[j] * stride + i];
    }
    y[i] = sum;
  }
}

/// Sum of a vector's lanes, halves added until one pair is left: 16 → 8 → 4 → 2 → 1.
template <typename Real, size_t Bytes, typename Vector>
CROSSLOOM_INLINE Real sum_lanes(const Vector& vector) {
  if constexpr (Bytes == 2 * sizeof(Real)) {
    return vector[0] + vector[1];
  } else {
    typedef Real Half __attribute__((vector_size(Bytes / 2)));
    Half low;
    Half high;
    std::memcpy(&low, &vector, sizeof(low));
    std::memcpy(&high, reinterpret_cast<const char*>(&vector) + sizeof(low), sizeof(high));
    const Half sum = low + high;
    return sum_lanes<Real, Bytes / 2>(sum);
  }
}

template <typename Real>
CROSSLOOM_INLINE Real dot_row(const Real* row, const Real* x, int64_t n) {
  using Vector = typename Simd<Real>::Vector;
  constexpr int64_t kLanes = Simd<Real>::kLanes;
  Vector sum[kVectors] = {};
  int64_t i = 0;
  for (; i + kVectors * kLanes <= n; i += kVectors * kLanes) {
    for (int v = 0; v < kVectors; ++v) {
      Vector a;
      Vector b;
      load(a, row + i + v * kLanes);
      load(b, x + i + v * kLanes);
      sum[v] += a * b;
    }
  }
  for (; i + kLanes <= n; i += kLanes) {
    Vector a;
    Vector b;
    load(a, row + i);
    load(b, x + i);
    sum[0] += a * b;
  }
  Real total = sum_lanes<Real, kVectorBytes>((sum[0] + sum[1]) + (sum[2] + sum[3]));
  for (; i < n; ++i) {
    total += row[i] * x[i];
  }
  return total;
}

template <typename Real>
CROSSLOOM_INLINE void gather_dot_body(int64_t count, const int32_t* index, const Real* table,
                                      int64_t stride, int64_t n, const Real* x, Real* out) {
  for (int64_t j = 0; j < count; ++j) {
    out[j] += dot_row(table + index[j] * stride, x, n);
  }
}

}  // namespace

CROSSLOOM_MULTIVERSION void gather_add(int64_t count, const int32_t* index, const float* weight,
                                       const float* table, int64_t stride, int64_t n, float* y) {
  gather_add_body(count, index, weight, table, stride, n, y);
}

CROSSLOOM_MULTIVERSION void gather_add(int64_t count, const int32_t* index, const double* weight,
                                       const double* table, int64_t stride, int64_t n, double* y) {
  gather_add_body(count, index, weight, table, stride, n, y);
}

CROSSLOOM_MULTIVERSION void gather_dot(int64_t count, const int32_t* index, const float* table,
                                       int64_t stride, int64_t n, const float* x, float* out) {
  gather_dot_body(count, index, table, stride, n, x, out);
}

CROSSLOOM_MULTIVERSION void gather_dot(int64_t count, const int32_t* index, const double* table,
                                       int64_t stride, int64_t n, const double* x, double* out) {
  gather_dot_body(count, index, table, stride, n, x, out);
}

}  // namespace crossloom::architectures::kernels
