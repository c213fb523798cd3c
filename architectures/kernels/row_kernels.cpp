#include "architectures/kernels/row_kernels.h"

#include <cstring>

#define CROSSLOOM_INLINE inline __attribute__((always_inline))

namespace crossloom::architectures::kernels {
namespace {

/// A register block: Count vectors of Bytes each. 256 bytes are the column unit in float32.
template <typename RealType, size_t Bytes, int Count>
struct Block {
  using Real = RealType;
  typedef Real Vector __attribute__((vector_size(Bytes)));
  static constexpr size_t kBytes = Bytes;
  static constexpr int kVectors = Count;
  static constexpr int64_t kLanes = static_cast<int64_t>(Bytes / sizeof(Real));
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
template <typename Block, int Count, typename Real>
CROSSLOOM_INLINE void add_block(int64_t count, const int32_t* index, const Real* weight,
                                const Real* table, int64_t stride, Real* y) {
  using Vector = typename Block::Vector;
  Vector sum[Count];
  for (int v = 0; v < Count; ++v) {
    load(sum[v], y + v * Block::kLanes);
  }
  for (int64_t j = 0; j < count; ++j) {
    const Real* row = table + index[j] * stride;
    const Real w = weight[j];
    for (int v = 0; v < Count; ++v) {
      Vector part;
      load(part, row + v * Block::kLanes);
      sum[v] += w * part;
    }
  }
  for (int v = 0; v < Count; ++v) {
    store(y + v * Block::kLanes, sum[v]);
  }
}

template <typename Block, typename Real = typename Block::Real>
CROSSLOOM_INLINE void gather_add_body(int64_t count, const int32_t* index, const Real* weight,
                                      const Real* table, int64_t stride, int64_t n, Real* y) {
  constexpr int64_t kLanes = Block::kLanes;
  constexpr int64_t kBlock = Block::kVectors * kLanes;
  int64_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    add_block<Block, Block::kVectors>(count, index, weight, table + i, stride, y + i);
  }
  for (; i + kLanes <= n; i += kLanes) {
    add_block<Block, 1>(count, index, weight, table + i, stride, y + i);
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

template <typename Block, typename Real = typename Block::Real>
CROSSLOOM_INLINE Real dot_row(const Real* row, const Real* x, int64_t n) {
  using Vector = typename Block::Vector;
  constexpr int64_t kLanes = Block::kLanes;
  constexpr int kSums = 4;  // independent chains hide the latency of an addition
  Vector sum[kSums] = {};
  int64_t i = 0;
  for (; i + kSums * kLanes <= n; i += kSums * kLanes) {
    for (int v = 0; v < kSums; ++v) {
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
  const Vector all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  Real total = sum_lanes<Real, Block::kBytes>(all);
  for (; i < n; ++i) {
    total += row[i] * x[i];
  }
  return total;
}

template <typename Block, typename Real = typename Block::Real>
CROSSLOOM_INLINE void gather_dot_body(int64_t count, const int32_t* index, const Real* table,
                                      int64_t stride, int64_t n, const Real* x, Real* out) {
  for (int64_t j = 0; j < count; ++j) {
    out[j] += dot_row<Block>(table + index[j] * stride, x, n);
  }
}

// One body per instruction set: `name<Real>::add` and `name<Real>::dot`.
#define CROSSLOOM_ROW_KERNELS(name, attributes, bytes, vectors)                                \
  template <typename Real>                                                                     \
  struct name {                                                                                \
    attributes static void add(int64_t count, const int32_t* index, const Real* weight,        \
                               const Real* table, int64_t stride, int64_t n, Real* y) {        \
      gather_add_body<Block<Real, bytes, vectors>>(count, index, weight, table, stride, n, y); \
    }                                                                                          \
    attributes static void dot(int64_t count, const int32_t* index, const Real* table,         \
                               int64_t stride, int64_t n, const Real* x, Real* out) {          \
      gather_dot_body<Block<Real, bytes, vectors>>(count, index, table, stride, n, x, out);    \
    }                                                                                          \
  }

CROSSLOOM_ROW_KERNELS(Baseline, , 16, 8);
#if defined(__x86_64__)
CROSSLOOM_ROW_KERNELS(Avx2, __attribute__((target("avx2,fma"))), 32, 8);
CROSSLOOM_ROW_KERNELS(Avx512, __attribute__((target("avx512f"))), 64, 4);
#endif

}  // namespace

template <typename Real>
std::vector<RowKernels<Real>> available_row_kernels() {
  std::vector<RowKernels<Real>> available;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) {
    available.push_back({"AVX-512", Avx512<Real>::add, Avx512<Real>::dot});
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    available.push_back({"AVX2", Avx2<Real>::add, Avx2<Real>::dot});
  }
#endif
  available.push_back({"baseline", Baseline<Real>::add, Baseline<Real>::dot});
  return available;
}

template std::vector<RowKernels<float>> available_row_kernels<float>();
template std::vector<RowKernels<double>> available_row_kernels<double>();

}  // namespace crossloom::architectures::kernels
