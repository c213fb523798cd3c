// Compiled once per instruction set by Highway (foreach_target), which also chooses at run time.
#include "architectures/kernels/row_sums.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "architectures/kernels/row_sums.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "architectures/kernels/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace crossloom::architectures::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using crossloom::HWY_NAMESPACE::load_as;

/// As many numbers as d has lanes, in float64.
template <typename Tag>
HWY_INLINE hn::Vec<Tag> load_wide(Tag d, const double* from) {
  return hn::LoadU(d, from);
}
template <typename Tag, typename Stored>
HWY_INLINE hn::Vec<Tag> load_wide(Tag d, const Stored* from) {
  const hn::Rebind<float, Tag> narrow;
  return hn::PromoteTo(d, load_as(narrow, from));
}

template <typename Tag>
HWY_INLINE void store_narrow(Tag d, hn::Vec<Tag> value, double* to) {
  hn::StoreU(value, d, to);
}
template <typename Tag>
HWY_INLINE void store_narrow(Tag /*d*/, hn::Vec<Tag> value, float* to) {
  const hn::Rebind<float, Tag> narrow;
  hn::StoreU(hn::DemoteTo(narrow, value), narrow, to);
}

/// Σ of what `add(d, i, sum)` adds to a sum for the elements from i on, in four sums side by side,
/// so that additions do not wait for each other.
template <typename Add>
HWY_INLINE double sum_of(int64_t n, const Add& add) {
  constexpr int kSums = 4;
  const hn::ScalableTag<double> whole;
  const hn::CappedTag<double, 1> single;
  const auto lanes = static_cast<int64_t>(hn::Lanes(whole));
  hn::Vec<hn::ScalableTag<double>> sums[kSums];
  for (auto& sum : sums) {
    sum = hn::Zero(whole);
  }
  int64_t i = 0;
  for (; i + kSums * lanes <= n; i += kSums * lanes) {
    CROSSLOOM_UNROLL
    for (int s = 0; s < kSums; ++s) {
      sums[s] = add(whole, i + s * lanes, sums[s]);
    }
  }
  for (; i + lanes <= n; i += lanes) {
    sums[0] = add(whole, i, sums[0]);
  }
  auto rest = hn::Zero(single);
  for (; i < n; ++i) {
    rest = add(single, i, rest);
  }
  const auto all = hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]));
  return hn::GetLane(hn::SumOfLanes(whole, all)) + hn::GetLane(rest);
}

template <typename Stored>
HWY_INLINE double square_sum_of(const Stored* row, int64_t n) {
  return sum_of(n, [row](auto d, int64_t i, auto sum) HWY_ATTR {
    const auto x = load_wide(d, row + i);
    return hn::MulAdd(x, x, sum);
  });
}

template <typename Real>
HWY_INLINE double squared_deviation_of(const Real* row, const double* centre, int64_t n) {
  return sum_of(n, [=](auto d, int64_t i, auto sum) HWY_ATTR {
    const auto x = hn::Sub(load_wide(d, row + i), hn::LoadU(d, centre + i));
    return hn::MulAdd(x, x, sum);
  });
}

template <typename Real>
HWY_INLINE double squared_error_of(const Real* output, const Real* target, double scale, int64_t n,
                                   Real* gradient) {
  return sum_of(n, [=](auto d, int64_t i, auto sum) HWY_ATTR {
    const auto error = hn::Sub(load_wide(d, output + i), load_wide(d, target + i));
    store_narrow(d, hn::Mul(hn::Set(d, scale), error), gradient + i);
    return hn::MulAdd(error, error, sum);
  });
}

template <typename Real>
HWY_INLINE void add_row_to(const Real* row, int64_t n, double* sums) {
  const hn::ScalableTag<double> whole;
  const hn::CappedTag<double, 1> single;
  const auto lanes = static_cast<int64_t>(hn::Lanes(whole));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(hn::Add(hn::LoadU(whole, sums + i), load_wide(whole, row + i)), whole, sums + i);
  }
  for (; i < n; ++i) {
    hn::StoreU(hn::Add(hn::LoadU(single, sums + i), load_wide(single, row + i)), single, sums + i);
  }
}

// Highway dispatches functions that are no templates.
double SquareSumHalf(const bfloat16_t* row, int64_t n) {
  return square_sum_of(row, n);
}
#define CROSSLOOM_ROW_SUMS(suffix, Real)                                                       \
  double SquareSum##suffix(const Real* row, int64_t n) {                                       \
    return square_sum_of(row, n);                                                              \
  }                                                                                            \
  double SquaredDeviation##suffix(const Real* row, const double* centre, int64_t n) {          \
    return squared_deviation_of(row, centre, n);                                               \
  }                                                                                            \
  double SquaredError##suffix(const Real* output, const Real* target, double scale, int64_t n, \
                              Real* gradient) {                                                \
    return squared_error_of(output, target, scale, n, gradient);                               \
  }                                                                                            \
  void AddRow##suffix(const Real* row, int64_t n, double* sums) {                              \
    add_row_to(row, n, sums);                                                                  \
  }
CROSSLOOM_ROW_SUMS(Float, float)
CROSSLOOM_ROW_SUMS(Double, double)
#undef CROSSLOOM_ROW_SUMS

}  // namespace crossloom::architectures::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace crossloom::architectures::kernels {

HWY_EXPORT(SquareSumHalf);
double square_sum(const bfloat16_t* row, int64_t n) {
  return HWY_DYNAMIC_DISPATCH(SquareSumHalf)(row, n);
}
#define CROSSLOOM_ROW_SUMS(suffix, Real)                                                   \
  HWY_EXPORT(SquareSum##suffix);                                                           \
  HWY_EXPORT(SquaredDeviation##suffix);                                                    \
  HWY_EXPORT(SquaredError##suffix);                                                        \
  HWY_EXPORT(AddRow##suffix);                                                              \
  double square_sum(const Real* row, int64_t n) {                                          \
    return HWY_DYNAMIC_DISPATCH(SquareSum##suffix)(row, n);                                \
  }                                                                                        \
  double squared_deviation(const Real* row, const double* centre, int64_t n) {             \
    return HWY_DYNAMIC_DISPATCH(SquaredDeviation##suffix)(row, centre, n);                 \
  }                                                                                        \
  double squared_error(const Real* output, const Real* target, double scale, int64_t n,    \
                       Real* gradient) {                                                   \
    return HWY_DYNAMIC_DISPATCH(SquaredError##suffix)(output, target, scale, n, gradient); \
  }                                                                                        \
  void add_row(const Real* row, int64_t n, double* sums) {                                 \
    HWY_DYNAMIC_DISPATCH(AddRow##suffix)(row, n, sums);                                    \
  }
CROSSLOOM_ROW_SUMS(Float, float)
CROSSLOOM_ROW_SUMS(Double, double)
#undef CROSSLOOM_ROW_SUMS

}  // namespace crossloom::architectures::kernels
#endif
