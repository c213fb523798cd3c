// Compiled once per instruction set by Highway (foreach_target), which also chooses at run time.
#include "trainer/flat_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "trainer/flat_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace crossloom::trainer::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <typename Tag, typename Real>
HWY_INLINE void adam_vector(Tag d, Real* HWY_RESTRICT w, const Real* HWY_RESTRICT g,
                            Real* HWY_RESTRICT m, Real* HWY_RESTRICT v,
                            const AdamCoefficients<Real>& c) {
  const auto gradient = hn::Mul(hn::LoadU(d, g), hn::Set(d, c.scale));
  const auto first =
      hn::MulAdd(hn::Set(d, c.beta1), hn::LoadU(d, m), hn::Mul(hn::Set(d, c.rest1), gradient));
  const auto second = hn::MulAdd(hn::Set(d, c.beta2), hn::LoadU(d, v),
                                 hn::Mul(hn::Mul(hn::Set(d, c.rest2), gradient), gradient));
  const auto below = hn::MulAdd(hn::Sqrt(second), hn::Set(d, c.root), hn::Set(d, c.epsilon));
  const auto move = hn::Div(hn::Mul(hn::Set(d, c.step_size), first), below);
  hn::StoreU(first, d, m);
  hn::StoreU(second, d, v);
  hn::StoreU(hn::Sub(hn::LoadU(d, w), move), d, w);
}

template <typename Real>
HWY_INLINE void adam_all(Real* HWY_RESTRICT w, const Real* HWY_RESTRICT g, Real* HWY_RESTRICT m,
                         Real* HWY_RESTRICT v, int64_t count, const AdamCoefficients<Real>& c) {
  const hn::ScalableTag<Real> whole;
  const hn::CappedTag<Real, 1> single;
  const auto lanes = static_cast<int64_t>(hn::Lanes(whole));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    adam_vector(whole, w + i, g + i, m + i, v + i, c);
  }
  for (; i < count; ++i) {
    adam_vector(single, w + i, g + i, m + i, v + i, c);
  }
}

void AdamFloat(float* w, const float* g, float* m, float* v, int64_t count,
               const AdamCoefficients<float>& c) {
  adam_all(w, g, m, v, count, c);
}
void AdamDouble(double* w, const double* g, double* m, double* v, int64_t count,
                const AdamCoefficients<double>& c) {
  adam_all(w, g, m, v, count, c);
}

double SquaresFloat(const float* g, int64_t count) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> half;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto even = hn::Zero(d);
  auto odd = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    const auto a = hn::PromoteTo(d, hn::LoadU(half, g + i));
    const auto b = hn::PromoteTo(d, hn::LoadU(half, g + i + lanes));
    even = hn::MulAdd(a, a, even);
    odd = hn::MulAdd(b, b, odd);
  }
  double sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
  for (; i < count; ++i) {
    sum += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  }
  return sum;
}

double SquaresDouble(const double* g, int64_t count) {
  const hn::ScalableTag<double> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto total = hn::Zero(d);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto a = hn::LoadU(d, g + i);
    total = hn::MulAdd(a, a, total);
  }
  double sum = hn::GetLane(hn::SumOfLanes(d, total));
  for (; i < count; ++i) {
    sum += g[i] * g[i];
  }
  return sum;
}

}  // namespace crossloom::trainer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace crossloom::trainer {

HWY_EXPORT(AdamFloat);
HWY_EXPORT(AdamDouble);
HWY_EXPORT(SquaresFloat);
HWY_EXPORT(SquaresDouble);

void adam_stretch(float* w, const float* g, float* m, float* v, int64_t count,
                  const AdamCoefficients<float>& c) {
  HWY_DYNAMIC_DISPATCH(AdamFloat)(w, g, m, v, count, c);
}

void adam_stretch(double* w, const double* g, double* m, double* v, int64_t count,
                  const AdamCoefficients<double>& c) {
  HWY_DYNAMIC_DISPATCH(AdamDouble)(w, g, m, v, count, c);
}

double squared_sum(const float* g, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(SquaresFloat)(g, count);
}

double squared_sum(const double* g, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(SquaresDouble)(g, count);
}

}  // namespace crossloom::trainer
#endif
