// Compiled once per instruction set by Highway (foreach_target), which also chooses at run time.
#include "architectures/kernels/row_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "architectures/kernels/row_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "architectures/kernels/load-inl.h"
#include "architectures/kernels/scratch.h"

HWY_BEFORE_NAMESPACE();
namespace crossloom::architectures::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using crossloom::HWY_NAMESPACE::load_as;

/// Vectors of y held in registers: 256 bytes are the column unit in float32.
constexpr int kVectors = HWY_MAX_BYTES >= 64 ? 4 : 8;

/// y[0 : N·lanes] += Σ_j weight[j] · row_j.
template <int N, typename Tag, typename Stored, typename Real>
HWY_INLINE void add_block(int64_t count, const int32_t* index, const Real* weight,
                          const Stored* table, int64_t stride, Real* y) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<Tag> sum[N];
  for (int v = 0; v < N; ++v) {
    sum[v] = hn::LoadU(d, y + v * lanes);
  }
  for (int64_t j = 0; j < count; ++j) {
    const Stored* row = table + index[j] * stride;
    const auto w = hn::Set(d, weight[j]);
    for (int v = 0; v < N; ++v) {
      sum[v] = hn::MulAdd(w, load_as(d, row + v * lanes), sum[v]);
    }
  }
  for (int v = 0; v < N; ++v) {
    hn::StoreU(sum[v], d, y + v * lanes);
  }
}

template <typename Stored, typename Real>
HWY_INLINE void add_all(int64_t count, const int32_t* index, const Real* weight,
                        const Stored* table, int64_t stride, int64_t n, Real* y) {
  using Whole = hn::ScalableTag<Real>;
  using Single = hn::CappedTag<Real, 1>;
  const auto lanes = static_cast<int64_t>(hn::Lanes(Whole()));
  int64_t i = 0;
  for (; i + kVectors * lanes <= n; i += kVectors * lanes) {
    add_block<kVectors, Whole>(count, index, weight, table + i, stride, y + i);
  }
  for (; i + lanes <= n; i += lanes) {
    add_block<1, Whole>(count, index, weight, table + i, stride, y + i);
  }
  for (; i < n; ++i) {
    add_block<1, Single>(count, index, weight, table + i, stride, y + i);
  }
}

/// `row` in registers, added to the tokens of one feature.
template <int N, typename Tag, typename Stored, typename Real>
HWY_INLINE void scatter_block(int64_t count, const int32_t* token, const Real* weight,
                              const Stored* row, Real* y, int64_t y_stride) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<Tag> kept[N];
  for (int v = 0; v < N; ++v) {
    kept[v] = load_as(d, row + v * lanes);
  }
  for (int64_t j = 0; j < count; ++j) {
    Real* HWY_RESTRICT to = y + token[j] * y_stride;
    const auto w = hn::Set(d, weight[j]);
    for (int v = 0; v < N; ++v) {
      hn::StoreU(hn::MulAdd(w, kept[v], hn::LoadU(d, to + v * lanes)), d, to + v * lanes);
    }
  }
}

template <typename Stored, typename Real>
HWY_INLINE void scatter_row(int64_t count, const int32_t* token, const Real* weight,
                            const Stored* row, int64_t n, Real* y, int64_t y_stride) {
  using Whole = hn::ScalableTag<Real>;
  using Single = hn::CappedTag<Real, 1>;
  const auto lanes = static_cast<int64_t>(hn::Lanes(Whole()));
  int64_t i = 0;
  for (; i + kVectors * lanes <= n; i += kVectors * lanes) {
    scatter_block<kVectors, Whole>(count, token, weight, row + i, y + i, y_stride);
  }
  for (; i + lanes <= n; i += lanes) {
    scatter_block<1, Whole>(count, token, weight, row + i, y + i, y_stride);
  }
  for (; i < n; ++i) {
    scatter_block<1, Single>(count, token, weight, row + i, y + i, y_stride);
  }
}

/// The first feature from `feature` on that has codes; features where none has.
template <typename Real>
HWY_INLINE int64_t next_active(const ListView<Real>& lists, int64_t feature) {
  while (feature < lists.features && lists.offsets[feature] == lists.offsets[feature + 1]) {
    ++feature;
  }
  return feature;
}

template <typename Stored, typename Real>
HWY_INLINE void scatter_all(const ListView<Real>& lists, const Stored* table, int64_t stride,
                            int64_t n, Real* y, int64_t y_stride) {
  constexpr int kAhead = 16;  // active rows whose loads are under way
  int64_t ahead = next_active(lists, 0);
  const auto prefetch_next = [&] {
    if (ahead < lists.features) {
      prefetch_stretch(table + ahead * stride, n);
      ahead = next_active(lists, ahead + 1);
    }
  };
  for (int i = 0; i < kAhead; ++i) {
    prefetch_next();
  }
  for (int64_t f = next_active(lists, 0); f < lists.features; f = next_active(lists, f + 1)) {
    prefetch_next();
    const int64_t first = lists.offsets[f];
    scatter_row(lists.offsets[f + 1] - first, lists.token + first, lists.weight + first,
                table + f * stride, n, y, y_stride);
  }
}

// Highway dispatches functions that are no templates: two for each type of table.
#define CROSSLOOM_ROW_KERNELS(suffix, Stored, Real)                                         \
  void GatherAdd##suffix(int64_t count, const int32_t* index, const Real* weight,           \
                         const Stored* table, int64_t stride, int64_t n, Real* y) {         \
    add_all(count, index, weight, table, stride, n, y);                                     \
  }                                                                                         \
  void ScatterAdd##suffix(const ListView<Real>& lists, const Stored* table, int64_t stride, \
                          int64_t n, Real* y, int64_t y_stride) {                           \
    scatter_all(lists, table, stride, n, y, y_stride);                                      \
  }
CROSSLOOM_ROW_KERNELS(Float, float, float)
CROSSLOOM_ROW_KERNELS(Half, bfloat16_t, float)
CROSSLOOM_ROW_KERNELS(Double, double, double)
#undef CROSSLOOM_ROW_KERNELS

}  // namespace crossloom::architectures::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace crossloom::architectures::kernels {

#define CROSSLOOM_ROW_KERNELS(suffix, Stored, Real)                                             \
  HWY_EXPORT(GatherAdd##suffix);                                                                \
  HWY_EXPORT(ScatterAdd##suffix);                                                               \
  void gather_add(int64_t count, const int32_t* index, const Real* weight, const Stored* table, \
                  int64_t stride, int64_t n, Real* y) {                                         \
    HWY_DYNAMIC_DISPATCH(GatherAdd##suffix)(count, index, weight, table, stride, n, y);         \
  }                                                                                             \
  void scatter_add(const ListView<Real>& lists, const Stored* table, int64_t stride, int64_t n, \
                   Real* y, int64_t y_stride) {                                                 \
    HWY_DYNAMIC_DISPATCH(ScatterAdd##suffix)(lists, table, stride, n, y, y_stride);             \
  }
CROSSLOOM_ROW_KERNELS(Float, float, float)
CROSSLOOM_ROW_KERNELS(Half, bfloat16_t, float)
CROSSLOOM_ROW_KERNELS(Double, double, double)
#undef CROSSLOOM_ROW_KERNELS

}  // namespace crossloom::architectures::kernels
#endif
