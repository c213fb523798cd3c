// Compiled once per instruction set by Highway (foreach_target), which also chooses at run time.
#include "architectures/kernels/feature_pass.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "architectures/kernels/feature_pass.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <type_traits>

#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/load-inl.h"
#include "architectures/kernels/scratch.h"

#ifndef CROSSLOOM_FEATURE_PASS_VIEW
#define CROSSLOOM_FEATURE_PASS_VIEW
namespace crossloom::architectures::kernels {

/// A FeaturePass as raw pointers; null where a tensor is undefined. Weights are Stored.
template <typename RealType, typename StoredType>
struct PassView {
  using Real = RealType;
  using Stored = StoredType;

  const int64_t* offsets;
  const int32_t* token;
  const Real* weight;
  const Real* rows;
  int64_t rows_stride;
  const Real* panels;  // panels_of(rows); null: not made
  int64_t tokens;
  int64_t columns;
  Real* gradient;
  int64_t gradient_stride;
  const Stored* table;
  int64_t table_stride;
  Real* reach;
  const Real* start;
  const Real* start_row;  // one for all features; null: the table's
  GradientStretches* stretches;
  int64_t first_element;
  int64_t row_stride;
};

}  // namespace crossloom::architectures::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace crossloom::architectures::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using crossloom::HWY_NAMESPACE::in_register;
using crossloom::HWY_NAMESPACE::load_as;

// Vectors of gradient in registers: half of those that the instruction set has.
constexpr int kVectors = HWY_TARGET <= HWY_AVX3 ? 16 : 8;
constexpr int64_t kMostColumns = HWY_TARGET <= HWY_AVX3 ? kPassColumns : kPassColumns / 2;
constexpr int kSums = 4;  // of a dot product, so that its additions do not wait for each other
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
  HWY_ALIGN Real w[N * hn::MaxLanes(Tag())];  // in float: bfloat16 is converted once
  CROSSLOOM_UNROLL
  for (int v = 0; v < N; ++v) {
    g[v] = hn::Zero(d);
  }
  if constexpr (kReach) {
    const auto* table = pass.table + feature * pass.table_stride + column;
    CROSSLOOM_UNROLL
    for (int v = 0; v < N; ++v) {
      hn::StoreU(load_as(d, table + v * lanes), d, w + v * lanes);
    }
  }
  if (pass.start != nullptr) {
    const Vector start = hn::Set(d, pass.start[feature]);
    CROSSLOOM_UNROLL
    for (int v = 0; v < N; ++v) {
      if constexpr (kReach) {
        g[v] = hn::Mul(start, hn::LoadU(d, w + v * lanes));
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
        sums[v % kSums] = hn::MulAdd(hn::LoadU(d, w + v * lanes), x, sums[v % kSums]);
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

/// Asks for a feature's memory early.
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

/// Columns whose rows fill the cache at most, if more than a column unit; whole units, panels of
/// about equal width.
int64_t PanelColumns(int64_t tokens, int64_t columns, int64_t element_bytes) {
  const int64_t unit_bytes = tokens * kPassUnit * element_bytes;
  const int64_t units = cache_bytes() / std::max<int64_t>(unit_bytes, 1);
  const int64_t most = std::clamp(units * kPassUnit, kPassUnit, kMostColumns);
  const int64_t panels = std::max<int64_t>(1, (columns + most - 1) / most);
  return ((columns + panels - 1) / panels + kPassUnit - 1) / kPassUnit * kPassUnit;
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
  const int64_t panel =
      PanelColumns(pass.tokens, pass.columns, static_cast<int64_t>(sizeof(typename View::Real)));
  const int64_t codes_end = pass.offsets[features.last];
  for (int64_t column = 0; column < pass.columns; column += panel) {
    const int64_t count = std::min(panel, pass.columns - column);
    // The next feature is asked for in two parts: a core can await only so much at once.
    const int64_t half = count / 2 / kPassUnit * kPassUnit;
    const auto rows = panel_rows(pass, features, column, count);
    for (int64_t i = features.first; i < features.last; ++i) {
      const bool has_next = i + 1 < features.last;
      if (has_next) {
        expect<kReach>(pass, i + 1, column, half);
      }
      const bool silent = pass.offsets[i] == pass.offsets[i + 1] && pass.start == nullptr;
      if (silent && pass.stretches == nullptr) {
        continue;  // nothing to add
      }
      feature_columns<kGradient, kReach>(pass, rows, i, codes_end, column, count, g);
      if (has_next) {
        expect<kReach>(pass, i + 1, column + half, count - half);
      }
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

HWY_EXPORT(PanelColumns);
HWY_EXPORT(RunFloat);
HWY_EXPORT(RunHalf);
HWY_EXPORT(RunDouble);

namespace {

void run(const PassView<float, float>& pass, Range features) {
  HWY_DYNAMIC_DISPATCH(RunFloat)(pass, features);
}
void run(const PassView<float, bfloat16_t>& pass, Range features) {
  HWY_DYNAMIC_DISPATCH(RunHalf)(pass, features);
}
void run(const PassView<double, double>& pass, Range features) {
  HWY_DYNAMIC_DISPATCH(RunDouble)(pass, features);
}

template <typename Real>
const Real* data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<Real>() : nullptr;
}

template <typename Real>
Real* mutable_data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<Real>() : nullptr;
}

int64_t row_stride_of(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.stride(0) : 0;
}

void check(const FeaturePass& pass) {
  const int64_t features = pass.lists.offsets.size(0) - 1;
  const int64_t columns = pass.rows.size(1);
  check_shape(pass.rows, {-1, -1}, "rows");
  for (const auto* matrix : {&pass.gradient, &pass.table}) {
    if (matrix->defined()) {
      check_shape(*matrix, {features, columns}, "weights");
      CROSSLOOM_CHECK(matrix->stride(1) == 1, "columns must be contiguous");
    }
  }
  CROSSLOOM_CHECK(pass.rows.stride(1) == 1, "columns must be contiguous");
  CROSSLOOM_CHECK(!pass.panels.defined() || pass.panels.numel() == pass.rows.numel(),
                  "panels of other rows");
  CROSSLOOM_CHECK(!pass.gradient.defined() || pass.stretches == nullptr,
                  "a gradient has one destination");
  CROSSLOOM_CHECK(pass.gradient.defined() || pass.stretches != nullptr || pass.table.defined(),
                  "neither gradient nor reach is wanted");
  CROSSLOOM_CHECK(pass.table.defined() == pass.reach.defined(), "reach needs a table");
  CROSSLOOM_CHECK(!pass.start.defined() || pass.table.defined() != pass.start_row.defined(),
                  "start scales the table, or without one a row");
}

template <typename Real, typename Stored>
PassView<Real, Stored> view(const FeaturePass& pass) {
  return {.offsets = pass.lists.offsets.const_data_ptr<int64_t>(),
          .token = pass.lists.token.const_data_ptr<int32_t>(),
          .weight = pass.lists.weight.const_data_ptr<Real>(),
          .rows = pass.rows.const_data_ptr<Real>(),
          .rows_stride = pass.rows.stride(0),
          .panels = data_or_null<Real>(pass.panels),
          .tokens = pass.rows.size(0),
          .columns = pass.rows.size(1),
          .gradient = mutable_data_or_null<Real>(pass.gradient),
          .gradient_stride = row_stride_of(pass.gradient),
          .table = pass.table.defined() ? stored_data<Stored>(pass.table) : nullptr,
          .table_stride = row_stride_of(pass.table),
          .reach = mutable_data_or_null<Real>(pass.reach),
          .start = data_or_null<Real>(pass.start),
          .start_row = data_or_null<Real>(pass.start_row),
          .stretches = pass.stretches,
          .first_element = pass.first_element,
          .row_stride = pass.row_stride};
}

/// Some features of a group: what one thread does at a time.
struct Item {
  size_t group;
  Range features;
  int64_t work;
};

/// Of a group with at least one pass.
int64_t group_work(const FeaturePasses& passes) {
  int64_t columns = 0;
  for (const FeaturePass& pass : passes) {
    columns += pass.rows.size(1);
  }
  return work_of(passes.front().lists) * columns;
}

/// Few and large, since every part reads the rows' panels anew: a single group goes to each thread
/// once, and of several groups only those are parted that would keep others waiting. Largest first.
std::vector<Item> cut_items(const std::vector<FeaturePasses>& groups) {
  constexpr int64_t kItemsPerThread = 4;
  std::vector<int64_t> work;
  for (const FeaturePasses& passes : groups) {
    work.push_back(passes.empty() ? 0 : group_work(passes));
  }
  const int64_t whole = std::max<int64_t>(1, std::accumulate(work.begin(), work.end(), int64_t{0}));
  const int64_t threads = threads_here();
  const int64_t wanted = threads * (groups.size() > 1 && threads > 1 ? kItemsPerThread : 1);
  std::vector<Item> items;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (groups[i].empty()) {
      continue;
    }
    const auto share = static_cast<double>(work[i]) / static_cast<double>(whole);
    const auto parts = static_cast<int64_t>(std::ceil(share * static_cast<double>(wanted)));
    const auto ranges = equal_parts(groups[i].front().lists, parts);
    for (const Range& features : ranges) {
      items.push_back({i, features, work[i] / std::ssize(ranges)});
    }
  }
  std::ranges::stable_sort(items, std::greater<>(), &Item::work);
  return items;
}

template <typename Real, typename Stored>
void run_typed(const std::vector<FeaturePasses>& groups) {
  std::vector<std::vector<PassView<Real, Stored>>> views(groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    for (const FeaturePass& pass : groups[i]) {
      check(pass);
      views[i].push_back(view<Real, Stored>(pass));
    }
  }
  const std::vector<Item> items = cut_items(groups);
  deal(std::ssize(items), [&](int64_t number) {
    const Item& item = items[static_cast<size_t>(number)];
    for (const auto& pass : views[item.group]) {
      run(pass, item.features);
    }
  });
}

template <typename Real>
void fill_panels(const at::Tensor& rows, int64_t panel, const at::Tensor& panels) {
  const int64_t tokens = rows.size(0);
  const int64_t columns = rows.size(1);
  for_token_ranges(tokens, [&](Range range) {
    const int64_t count = range.last - range.first;
    const Real* from = rows.const_data_ptr<Real>() + range.first * rows.stride(0);
    Real* to = panels.mutable_data_ptr<Real>();
    for (int64_t column = 0; column < columns; column += panel) {
      const int64_t width = std::min(panel, columns - column);
      copy_columns(from + column, rows.stride(0), count, width,
                   to + tokens * column + range.first * width, width);
    }
  });
}

}  // namespace

at::Tensor panels_of(const at::Tensor& rows) {
  check_shape(rows, {-1, -1}, "rows");
  CROSSLOOM_CHECK(rows.stride(1) == 1, "columns must be contiguous");
  const at::Tensor panels = at::empty({rows.numel()}, rows.options());
  const int64_t panel = HWY_DYNAMIC_DISPATCH(PanelColumns)(
      rows.size(0), rows.size(1), static_cast<int64_t>(rows.element_size()));
  dispatch_real(rows.scalar_type(),
                [&](auto real) { fill_panels<decltype(real)>(rows, panel, panels); });
  return panels;
}

void run_feature_passes(const FeaturePasses& passes) {
  run_pass_groups({passes});
}

void run_pass_groups(const std::vector<FeaturePasses>& groups) {
  const auto first = std::ranges::find_if_not(groups, &FeaturePasses::empty);
  if (first == groups.end()) {
    return;
  }
  const FeaturePass& pass = first->front();
  const at::Tensor& weights = pass.table.defined() ? pass.table : pass.rows;
  dispatch_stored(weights.scalar_type(), [&](auto real, auto stored) {
    run_typed<decltype(real), decltype(stored)>(groups);
  });
}

}  // namespace crossloom::architectures::kernels
#endif
