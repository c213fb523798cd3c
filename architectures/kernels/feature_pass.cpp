// Compiled once per instruction set by Highway (foreach_target), which also chooses at run time.
#include "architectures/kernels/feature_pass.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "architectures/kernels/feature_pass.cpp"
#include <hwy/foreach_target.h>
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>

#include "architectures/kernels/dispatch.h"

#ifndef CROSSLOOM_FEATURE_PASS_VIEW
#define CROSSLOOM_FEATURE_PASS_VIEW
namespace crossloom::architectures::kernels {

/// A FeaturePass as raw pointers; null where a tensor is undefined.
template <typename Real>
struct PassView {
  const int64_t* offsets;
  const int32_t* token;
  const Real* weight;
  const Real* rows;
  int64_t rows_stride;
  int64_t columns;
  Real* gradient;
  int64_t gradient_stride;
  const Real* table;
  int64_t table_stride;
  Real* reach;
  const Real* start;
  const Real* start_rows;
  int64_t start_stride;
  GradientStretches* stretches;
  int64_t first_element;
  int64_t row_stride;
};

}  // namespace crossloom::architectures::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace crossloom::architectures::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int kVectors = HWY_MAX_BYTES >= 64 ? 8 : 4;  // table and gradient fit the registers

/// N vectors of columns of one feature: g into `out`, reach added to.
template <int N, bool kReach, typename Tag, typename Real>
HWY_INLINE void feature_block(const PassView<Real>& pass, int64_t feature, int64_t column,
                              Real* HWY_RESTRICT out) {
  using Vector = hn::Vec<Tag>;
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  Vector g[N];
  Vector w[N];
  for (int v = 0; v < N; ++v) {
    g[v] = hn::Zero(d);
  }
  if constexpr (kReach) {
    const Real* table = pass.table + feature * pass.table_stride + column;
    for (int v = 0; v < N; ++v) {
      w[v] = hn::LoadU(d, table + v * lanes);
    }
  }
  if (pass.start != nullptr) {
    const Vector start = hn::Set(d, pass.start[feature]);
    const Real* row = pass.start_rows + feature * pass.start_stride + column;
    for (int v = 0; v < N; ++v) {
      g[v] = hn::Mul(start, hn::LoadU(d, row + v * lanes));
    }
  }
  const int64_t end = pass.offsets[feature + 1];
  for (int64_t j = pass.offsets[feature]; j < end; ++j) {
    const Real* HWY_RESTRICT row = pass.rows + pass.token[j] * pass.rows_stride + column;
    const Vector weight = hn::Set(d, pass.weight[j]);
    Vector even = hn::Zero(d);
    Vector odd = hn::Zero(d);
    for (int v = 0; v < N; ++v) {
      const Vector x = hn::LoadU(d, row + v * lanes);
      g[v] = hn::MulAdd(weight, x, g[v]);
      if constexpr (kReach) {
        Vector& sum = v % 2 == 0 ? even : odd;
        sum = hn::MulAdd(w[v], x, sum);
      }
    }
    if constexpr (kReach) {
      pass.reach[j] += hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
    }
  }
  for (int v = 0; v < N; ++v) {
    hn::StoreU(g[v], d, out + v * lanes);
  }
}

/// Columns [column, column + count) of one feature.
template <bool kReach, typename Real>
HWY_INLINE void feature_columns(const PassView<Real>& pass, int64_t feature, int64_t column,
                                int64_t count, Real* HWY_RESTRICT out) {
  using Whole = hn::ScalableTag<Real>;
  using Single = hn::CappedTag<Real, 1>;
  const auto lanes = static_cast<int64_t>(hn::Lanes(Whole()));
  int64_t i = 0;
  for (; i + kVectors * lanes <= count; i += kVectors * lanes) {
    feature_block<kVectors, kReach, Whole>(pass, feature, column + i, out + i);
  }
  for (; i + lanes <= count; i += lanes) {
    feature_block<1, kReach, Whole>(pass, feature, column + i, out + i);
  }
  for (; i < count; ++i) {
    feature_block<1, kReach, Single>(pass, feature, column + i, out + i);
  }
}

template <typename Real>
HWY_INLINE void prefetch_row(const Real* row, int64_t count) {
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(Real));
  for (int64_t i = 0; i < count; i += kLine) {
    hwy::Prefetch(row + i);
  }
}

template <typename Real>
HWY_INLINE void deliver(const PassView<Real>& pass, int64_t feature, int64_t column, int64_t count,
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

template <bool kReach, typename Real>
HWY_INLINE void run_panels(const PassView<Real>& pass, Range features) {
  HWY_ALIGN Real g[kPassColumns];
  for (int64_t column = 0; column < pass.columns; column += kPassColumns) {
    const int64_t count = std::min(kPassColumns, pass.columns - column);
    for (int64_t i = features.first; i < features.last; ++i) {
      if constexpr (kReach) {
        if (i + 1 < features.last) {
          prefetch_row(pass.table + (i + 1) * pass.table_stride + column, count);
        }
      }
      const bool silent = pass.offsets[i] == pass.offsets[i + 1] && pass.start == nullptr;
      if (silent && pass.gradient != nullptr) {
        continue;  // nothing to add
      }
      feature_columns<kReach>(pass, i, column, count, g);
      deliver(pass, i, column, count, g);
    }
  }
}

template <typename Real>
HWY_INLINE void run_pass(const PassView<Real>& pass, Range features) {
  if (pass.table != nullptr) {
    run_panels<true>(pass, features);
  } else {
    run_panels<false>(pass, features);
  }
}

void RunFloat(const PassView<float>& pass, Range features) {
  run_pass(pass, features);
}
void RunDouble(const PassView<double>& pass, Range features) {
  run_pass(pass, features);
}

}  // namespace crossloom::architectures::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace crossloom::architectures::kernels {

HWY_EXPORT(RunFloat);
HWY_EXPORT(RunDouble);

namespace {

void run(const PassView<float>& pass, Range features) {
  HWY_DYNAMIC_DISPATCH(RunFloat)(pass, features);
}
void run(const PassView<double>& pass, Range features) {
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
  return tensor.defined() && tensor.dim() == 2 ? tensor.stride(0) : 0;
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
  CROSSLOOM_CHECK(pass.gradient.defined() != (pass.stretches != nullptr),
                  "a gradient has one destination");
  CROSSLOOM_CHECK(pass.table.defined() == pass.reach.defined(), "reach needs a table");
  CROSSLOOM_CHECK(pass.start.defined() == pass.start_rows.defined(), "start needs rows");
}

template <typename Real>
PassView<Real> view(const FeaturePass& pass) {
  return {.offsets = pass.lists.offsets.const_data_ptr<int64_t>(),
          .token = pass.lists.token.const_data_ptr<int32_t>(),
          .weight = pass.lists.weight.const_data_ptr<Real>(),
          .rows = pass.rows.const_data_ptr<Real>(),
          .rows_stride = pass.rows.stride(0),
          .columns = pass.rows.size(1),
          .gradient = mutable_data_or_null<Real>(pass.gradient),
          .gradient_stride = row_stride_of(pass.gradient),
          .table = data_or_null<Real>(pass.table),
          .table_stride = row_stride_of(pass.table),
          .reach = mutable_data_or_null<Real>(pass.reach),
          .start = data_or_null<Real>(pass.start),
          .start_rows = data_or_null<Real>(pass.start_rows),
          .start_stride = row_stride_of(pass.start_rows),
          .stretches = pass.stretches,
          .first_element = pass.first_element,
          .row_stride = pass.row_stride};
}

template <typename Real>
void run_typed(const std::vector<FeaturePass>& passes) {
  std::vector<PassView<Real>> views;
  for (const FeaturePass& pass : passes) {
    check(pass);
    views.push_back(view<Real>(pass));
  }
  for_equal_work(passes.front().lists, [&](Range features) {
    for (const auto& pass : views) {
      run(pass, features);
    }
  });
}

}  // namespace

void run_feature_passes(const std::vector<FeaturePass>& passes) {
  if (!passes.empty()) {
    dispatch_real(passes.front().rows.scalar_type(),
                  [&](auto real) { run_typed<decltype(real)>(passes); });
  }
}

}  // namespace crossloom::architectures::kernels
#endif
