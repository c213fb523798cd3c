// Compiled once per instruction set by Highway (foreach_target), which also chooses at run time.
#include "architectures/kernels/feature_pass.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "architectures/kernels/feature_pass.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <type_traits>

#include "architectures/kernels/load-inl.h"
#include "architectures/kernels/pass_view.h"
#include "architectures/kernels/scratch.h"

HWY_BEFORE_NAMESPACE();
namespace crossloom::architectures::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using crossloom::HWY_NAMESPACE::in_register;
using crossloom::HWY_NAMESPACE::load_as;

// Vectors of gradient in registers: half of those that the instruction set has.
constexpr int kRegisters = HWY_TARGET <= HWY_AVX3 ? 32 : 16;
constexpr int kVectors = kRegisters / 2;
constexpr int kSums = 4;  // of a dot product, so that its additions do not wait for each other
constexpr int64_t kFeaturesAhead = 3;  // whose memory is on its way to the second-level cache
constexpr int64_t kCodesAhead = 4;  // whose tokens' rows are on their way to the first-level cache

/// Columns of the tokens' rows: where they begin, and how far apart they are.
template <typename Real>
struct RowColumns {
  const Real* first;
  int64_t stride;

  RowColumns from(int64_t column) const { return {first + column, stride}; }
};

/// N vectors of columns of one feature: g into `out`, reach added to. `codes_end`: behind the last
/// code that this thread will come to.
template <int N, bool kGradient, bool kReach, typename Tag, typename View, typename Real>
HWY_INLINE void feature_block(const View& pass, RowColumns<Real> rows, int64_t feature,
                              int64_t codes_end, int64_t column, Real* HWY_RESTRICT out) {
  using Vector = hn::Vec<Tag>;
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  Vector g[N];
  // The table's row in float, in registers where it fits there beside g: loads are what limits.
  constexpr bool kHeld = (kGradient ? 2 : 1) * N + kSums + 2 <= kRegisters;
  Vector held[kHeld ? N : 1];
  HWY_ALIGN Real stored[kHeld ? 1 : N * hn::MaxLanes(Tag())];
  const auto w = [&](int v) HWY_ATTR {
    if constexpr (kHeld) {
      return held[v];
    } else {
      return hn::LoadU(d, stored + v * lanes);
    }
  };
  CROSSLOOM_UNROLL
  for (int v = 0; v < N; ++v) {
    g[v] = hn::Zero(d);
  }
  if constexpr (kReach) {
    const auto* table = pass.table + feature * pass.table_stride + column;
    CROSSLOOM_UNROLL
    for (int v = 0; v < N; ++v) {
      const Vector numbers = in_register(load_as(d, table + v * lanes));
      if constexpr (kHeld) {
        held[v] = numbers;
      } else {
        hn::StoreU(numbers, d, stored + v * lanes);
      }
    }
  }
  if (pass.start != nullptr) {
    const Vector start = hn::Set(d, pass.start[feature]);
    CROSSLOOM_UNROLL
    for (int v = 0; v < N; ++v) {
      if constexpr (kReach) {
        g[v] = hn::Mul(start, w(v));
      } else {
        g[v] = hn::Mul(start, hn::LoadU(d, pass.start_row + column + v * lanes));
      }
    }
  }
  const int64_t end = pass.offsets[feature + 1];
  for (int64_t j = pass.offsets[feature]; j < end; ++j) {
    const Real* HWY_RESTRICT row = rows.first + pass.token[j] * rows.stride;
    const Real* later =
        rows.first + pass.token[std::min(j + kCodesAhead, codes_end - 1)] * rows.stride;
    const Vector weight = hn::Set(d, pass.weight[j]);
    Vector sums[kSums] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
    CROSSLOOM_UNROLL
    for (int v = 0; v < N; ++v) {
      hwy::Prefetch(later + v * lanes);
      const Vector x = in_register(hn::LoadU(d, row + v * lanes));
      if constexpr (kGradient) {
        g[v] = hn::MulAdd(weight, x, g[v]);
      }
      if constexpr (kReach) {
        sums[v % kSums] = hn::MulAdd(w(v), x, sums[v % kSums]);
      }
    }
    if constexpr (kReach) {
      const Vector sum = hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]));
      pass.reach[j] += hn::GetLane(hn::SumOfLanes(d, sum));
    }
  }
  CROSSLOOM_UNROLL
  for (int v = 0; v < N; ++v) {
    hn::StoreU(g[v], d, out + v * lanes);
  }
}

/// Columns [column, column + count) of one feature.
template <bool kGradient, bool kReach, typename View, typename Real>
HWY_INLINE void feature_columns(const View& pass, RowColumns<Real> rows, int64_t feature,
                                int64_t codes_end, int64_t column, int64_t count,
                                Real* HWY_RESTRICT out) {
  using Whole = hn::ScalableTag<Real>;
  using Single = hn::CappedTag<Real, 1>;
  const auto lanes = static_cast<int64_t>(hn::Lanes(Whole()));
  int64_t i = 0;
  const auto take = [&]<int N>(std::integral_constant<int, N> /*vectors*/) HWY_ATTR {
    for (; i + N * lanes <= count; i += N * lanes) {
      feature_block<N, kGradient, kReach, Whole>(pass, rows.from(i), feature, codes_end, column + i,
                                                 out + i);
    }
  };
  take(std::integral_constant<int, kVectors>());
  take(std::integral_constant<int, kVectors / 4 * 3>());
  take(std::integral_constant<int, kVectors / 2>());
  take(std::integral_constant<int, kVectors / 4>());
  take(std::integral_constant<int, 1>());
  for (; i < count; ++i) {
    feature_block<1, kGradient, kReach, Single>(pass, rows.from(i), feature, codes_end, column + i,
                                                out + i);
  }
}

/// Asks for a feature's memory early. Stretches may ask for the same weights: to ask twice was
/// faster than once (benchmarks/README.md).
template <bool kReach, typename View>
HWY_INLINE void expect(const View& pass, int64_t feature, int64_t column, int64_t count) {
  if (pass.stretches != nullptr) {
    pass.stretches->expect(pass.first_element + feature * pass.row_stride + column, count);
  } else if (pass.gradient != nullptr) {
    prefetch_stretch(pass.gradient + feature * pass.gradient_stride + column, count);
  }
  if constexpr (kReach) {
    prefetch_stretch(pass.table + feature * pass.table_stride + column, count);
  }
}

template <typename View, typename Real>
HWY_INLINE void deliver(const View& pass, int64_t feature, int64_t column, int64_t count,
                        const Real* HWY_RESTRICT g) {
  if (pass.gradient == nullptr) {
    pass.stretches->take(pass.first_element + feature * pass.row_stride + column, count, g);
    return;
  }
  Real* HWY_RESTRICT to = pass.gradient + feature * pass.gradient_stride + column;
  for (int64_t i = 0; i < count; ++i) {
    to[i] += g[i];
  }
}

/// The panel's columns of all tokens: where they lie together, or copied together where these
/// features' codes use them often.
template <typename View>
HWY_INLINE RowColumns<typename View::Real> panel_rows(const View& pass, Range features,
                                                      int64_t column, int64_t count) {
  using Real = typename View::Real;
  constexpr int64_t kUses = 4;
  thread_local Scratch<Real> scratch;
  if (pass.panels != nullptr) {
    return {pass.panels + pass.tokens * column, count};
  }
  const int64_t codes = pass.offsets[features.last] - pass.offsets[features.first];
  if (codes < kUses * pass.tokens) {
    return {pass.rows + column, pass.rows_stride};
  }
  Real* together = scratch.of_size(pass.tokens * count);
  copy_columns(pass.rows + column, pass.rows_stride, pass.tokens, count, together, count);
  return {together, count};
}

template <bool kGradient, bool kReach, typename View>
HWY_INLINE void run_panels(const View& pass, Range features) {
  HWY_ALIGN typename View::Real g[kPassColumns];
  const int64_t codes_end = pass.offsets[features.last];
  for (int64_t column = 0; column < pass.columns; column += pass.panel) {
    const int64_t count = std::min(pass.panel, pass.columns - column);
    const auto rows = panel_rows(pass, features, column, count);
    for (int64_t i = features.first; i < features.last; ++i) {
      expect<kReach>(pass, std::min(i + kFeaturesAhead, features.last - 1), column, count);
      const bool silent = pass.offsets[i] == pass.offsets[i + 1] && pass.start == nullptr;
      if (silent && pass.stretches == nullptr) {
        continue;  // nothing to add
      }
      feature_columns<kGradient, kReach>(pass, rows, i, codes_end, column, count, g);
      if constexpr (kGradient) {
        deliver(pass, i, column, count, g);
      }
    }
  }
}

template <typename View>
HWY_INLINE void run_pass(const View& pass, Range features) {
  if (pass.table == nullptr) {
    run_panels<true, false>(pass, features);
  } else if (pass.gradient != nullptr || pass.stretches != nullptr) {
    run_panels<true, true>(pass, features);
  } else {
    run_panels<false, true>(pass, features);
  }
}

/// What registers hold, of narrower vectors twice that.
int64_t MostColumns() {
  return HWY_TARGET <= HWY_AVX3 ? kPassColumns : kPassColumns / 2;
}
void RunFloat(const PassView<float, float>& pass, Range features) {
  run_pass(pass, features);
}
void RunHalf(const PassView<float, bfloat16_t>& pass, Range features) {
  run_pass(pass, features);
}
void RunDouble(const PassView<double, double>& pass, Range features) {
  run_pass(pass, features);
}

}  // namespace crossloom::architectures::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace crossloom::architectures::kernels {

HWY_EXPORT(MostColumns);
HWY_EXPORT(RunFloat);
HWY_EXPORT(RunHalf);
HWY_EXPORT(RunDouble);

int64_t most_pass_columns() {
  return HWY_DYNAMIC_DISPATCH(MostColumns)();
}
void run_features(const PassView<float, float>& pass, Range features) {
  HWY_DYNAMIC_DISPATCH(RunFloat)(pass, features);
}
void run_features(const PassView<float, bfloat16_t>& pass, Range features) {
  HWY_DYNAMIC_DISPATCH(RunHalf)(pass, features);
}
void run_features(const PassView<double, double>& pass, Range features) {
  HWY_DYNAMIC_DISPATCH(RunDouble)(pass, features);
}

}  // namespace crossloom::architectures::kernels
#endif
