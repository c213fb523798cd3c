// Compiled once per instruction set by Highway (foreach_target), which also chooses at run time.
#include "architectures/kernels/screen.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "architectures/kernels/screen.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>

#include "architectures/kernels/load-inl.h"
#include "architectures/kernels/scratch.h"

HWY_BEFORE_NAMESPACE();
namespace crossloom::architectures::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using crossloom::HWY_NAMESPACE::for_vectors;
using crossloom::HWY_NAMESPACE::store_lanes;
using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;

constexpr float kSlack = 1.0001F;  // the bound's own float32 arithmetic
constexpr int kMostHalvings = 31;  // of the interval that a bar lies in: all of its bits

/// e of the tokens [t, t + lanes).
HWY_INLINE Vector estimate(const ScreenTokens& tokens, const ScreenFeature& feature, int64_t t) {
  const Floats d;
  const auto whole = hn::LoadU(hn::RebindToSigned<Floats>(), feature.products + t);
  const Vector step = hn::Mul(hn::LoadU(d, tokens.steps + t), hn::Set(d, feature.step));
  return hn::MulAdd(hn::ConvertTo(d, whole), step, hn::Set(d, feature.bias));
}

/// r, given e.
HWY_INLINE Vector radius(const ScreenTokens& tokens, const ScreenFeature& feature, int64_t t,
                         Vector e) {
  const Floats d;
  Vector sum = hn::Add(hn::Abs(e), hn::Set(d, 2.0F * std::abs(feature.bias)));
  sum = hn::Mul(sum, hn::Set(d, kFloatRounding));
  sum = hn::MulAdd(hn::LoadU(d, tokens.errors + t), hn::Set(d, feature.norm), sum);
  sum = hn::MulAdd(hn::LoadU(d, tokens.norms + t), hn::Set(d, feature.error_norm), sum);
  return hn::Mul(sum, hn::Set(d, kSlack));
}

HWY_INLINE hn::Mask<Floats> is_likely(Vector e, const float* bars) {
  const Floats d;
  return hn::And(hn::Ge(e, hn::LoadU(d, bars)), hn::Gt(e, hn::Zero(d)));
}

/// Appends t + lane for the lanes in `in`; returns the new size.
HWY_INLINE int64_t append(hn::Mask<Floats> in, int64_t t, int32_t* found, int64_t size) {
  const hn::RebindToSigned<Floats> number;
  if (hn::AllFalse(Floats(), in)) {
    return size;
  }
  const auto numbers = hn::Iota(number, static_cast<int32_t>(t));
  const auto mask = hn::RebindMask(number, in);
  return size + store_lanes(number, numbers, mask, found + size);
}

void EstimatesOf(const ScreenTokens& tokens, const ScreenFeature& feature, float* estimates) {
  for_vectors(tokens.count, [&](int64_t t, auto /*is_new*/) {
    hn::StoreU(estimate(tokens, feature, t), Floats(), estimates + t);
  });
}

void RaiseToEstimates(const ScreenTokens& tokens, const ScreenFeature& feature, float* maxima) {
  const Floats d;
  for_vectors(tokens.count, [&](int64_t t, auto /*is_new*/) {
    const Vector most = hn::Max(hn::LoadU(d, maxima + t), estimate(tokens, feature, t));
    hn::StoreU(most, d, maxima + t);
  });
}

/// How many of the groups' maxima, a vector each, reach `bar`; lane by lane, as floats.
HWY_INLINE Vector count_from(const float* HWY_RESTRICT maxima, int64_t groups, Vector bar) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const Vector one = hn::Set(d, 1.0F);
  Vector count = hn::Zero(d);
  for (int64_t g = 0; g < groups; ++g) {
    const auto in = hn::Ge(hn::Load(d, maxima + g * lanes), bar);
    count = hn::Add(count, hn::IfThenElseZero(in, one));
  }
  return count;
}

/// Bisection between 0 and the largest maximum, until few more than `kept` reach the bar: of the
/// numbers' bits, which ascend with them, so that it finds a bar of any size.
HWY_INLINE Vector bar_of(const float* HWY_RESTRICT maxima, int64_t groups, int64_t kept) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const Vector fewest = hn::Set(d, static_cast<float>(kept));
  const Vector enough = hn::Set(d, static_cast<float>(kept + kept / 8));
  Vector high = hn::Zero(d);
  for (int64_t g = 0; g < groups; ++g) {
    high = hn::Max(high, hn::Load(d, maxima + g * lanes));
  }
  const hn::RebindToSigned<Floats> bits;
  Vector low = hn::Zero(d);
  for (int i = 0; i < kMostHalvings; ++i) {
    const auto from = hn::BitCast(bits, low);
    const auto half = hn::ShiftRight<1>(hn::Sub(hn::BitCast(bits, high), from));
    const Vector middle = hn::BitCast(d, hn::Add(from, half));
    const Vector count = count_from(maxima, groups, middle);
    const auto holds = hn::Ge(count, fewest);
    low = hn::IfThenElse(holds, middle, low);
    // Where few enough reach the bar it has been found.
    const auto found = hn::And(holds, hn::Le(count, enough));
    high = hn::IfThenElse(found, low, hn::IfThenElse(holds, high, middle));
    if (hn::AllTrue(d, hn::Eq(low, high))) {
      break;
    }
  }
  return low;
}

void BarsFromMaxima(const float* maxima, int64_t groups, int64_t tokens, int64_t kept,
                    float* bars) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  thread_local Scratch<float> scratch;
  float* together = scratch.of_size(groups * lanes);
  for_vectors(tokens, [&](int64_t t, auto /*is_new*/) {
    for (int64_t g = 0; g < groups; ++g) {
      hn::Store(hn::LoadU(d, maxima + g * tokens + t), d, together + g * lanes);
    }
    hn::StoreU(bar_of(together, groups, kept), d, bars + t);
  });
}

int64_t LikelyTokens(const ScreenTokens& tokens, const ScreenFeature& feature, const float* bars,
                     int32_t* found) {
  int64_t size = 0;
  for_vectors(tokens.count, [&](int64_t t, auto is_new) {
    const Vector e = estimate(tokens, feature, t);
    size = append(hn::And(is_likely(e, bars + t), is_new), t, found, size);
  });
  return size;
}

int64_t PossibleTokens(const ScreenTokens& tokens, const ScreenFeature& feature, const float* bars,
                       const float* least, int32_t* found) {
  const Floats d;
  int64_t size = 0;
  for_vectors(tokens.count, [&](int64_t t, auto is_new) {
    const Vector e = estimate(tokens, feature, t);
    const Vector upper = hn::Add(e, radius(tokens, feature, t, e));
    const auto in = hn::And(hn::Ge(upper, hn::LoadU(d, least + t)), hn::Gt(upper, hn::Zero(d)));
    size = append(hn::AndNot(is_likely(e, bars + t), hn::And(in, is_new)), t, found, size);
  });
  return size;
}

}  // namespace crossloom::architectures::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace crossloom::architectures::kernels {

HWY_EXPORT(EstimatesOf);
HWY_EXPORT(RaiseToEstimates);
HWY_EXPORT(BarsFromMaxima);
HWY_EXPORT(LikelyTokens);
HWY_EXPORT(PossibleTokens);

void estimates_of(const ScreenTokens& tokens, const ScreenFeature& feature, float* estimates) {
  HWY_DYNAMIC_DISPATCH(EstimatesOf)(tokens, feature, estimates);
}

void raise_to_estimates(const ScreenTokens& tokens, const ScreenFeature& feature, float* maxima) {
  HWY_DYNAMIC_DISPATCH(RaiseToEstimates)(tokens, feature, maxima);
}

void bars_from_maxima(const float* maxima, int64_t groups, int64_t tokens, int64_t kept,
                      float* bars) {
  HWY_DYNAMIC_DISPATCH(BarsFromMaxima)(maxima, groups, tokens, kept, bars);
}

int64_t likely_tokens(const ScreenTokens& tokens, const ScreenFeature& feature, const float* bars,
                      int32_t* found) {
  return HWY_DYNAMIC_DISPATCH(LikelyTokens)(tokens, feature, bars, found);
}

int64_t possible_tokens(const ScreenTokens& tokens, const ScreenFeature& feature, const float* bars,
                        const float* least, int32_t* found) {
  return HWY_DYNAMIC_DISPATCH(PossibleTokens)(tokens, feature, bars, least, found);
}

}  // namespace crossloom::architectures::kernels
#endif
