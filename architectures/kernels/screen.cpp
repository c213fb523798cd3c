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

/// A feature's numbers in all lanes, so that loops need not fetch them again after every store.
struct Feature {
  explicit HWY_INLINE Feature(const ScreenFeature& feature)
      : products(feature.products),
        step(hn::Set(Floats(), feature.step)),
        bias(hn::Set(Floats(), feature.bias)),
        norm(hn::Set(Floats(), kSlack * feature.norm)),
        error_norm(hn::Set(Floats(), kSlack * feature.error_norm)),
        rounding(hn::Set(Floats(), 3.0F * kSlack * kFloatRounding * std::abs(feature.bias))) {}

  const int16_t* products;
  Vector step, bias;
  Vector norm, error_norm, rounding;
};

/// e of the tokens [t, t + lanes).
HWY_INLINE Vector estimate(const ScreenTokens& tokens, const Feature& feature, int64_t t) {
  const Floats d;
  const hn::Rebind<int16_t, Floats> narrow;
  const auto whole =
      hn::PromoteTo(hn::RebindToSigned<Floats>(), hn::LoadU(narrow, feature.products + t));
  const Vector step = hn::Mul(hn::LoadU(d, tokens.steps + t), feature.step);
  return hn::MulAdd(hn::ConvertTo(d, whole), step, feature.bias);
}

/// r of the tokens [t, t + lanes).
HWY_INLINE Vector radius(const ScreenTokens& tokens, const Feature& feature, int64_t t) {
  const Floats d;
  const Vector sum = hn::MulAdd(hn::LoadU(d, tokens.errors + t), feature.norm, feature.rounding);
  return hn::MulAdd(hn::LoadU(d, tokens.norms + t), feature.error_norm, sum);
}

HWY_INLINE hn::Mask<Floats> is_likely(Vector e, const float* bars) {
  const Floats d;
  return hn::And(hn::Ge(e, hn::LoadU(d, bars)), hn::Gt(e, hn::Zero(d)));
}

/// Which tokens have been found, one after the other.
class Found {
 public:
  explicit HWY_INLINE Found(int32_t* tokens) : tokens_(tokens), ramp_(hn::Iota(Numbers(), 0)) {}

  /// t + lane for the lanes in `in`.
  HWY_INLINE void append(hn::Mask<Floats> in, int64_t t) {
    if (!hn::AllFalse(Floats(), in)) {
      const Numbers d;
      const auto numbers = hn::Add(ramp_, hn::Set(d, static_cast<int32_t>(t)));
      size_ += store_lanes(d, numbers, hn::RebindMask(d, in), tokens_ + size_);
    }
  }
  HWY_INLINE int64_t size() const { return size_; }

 private:
  using Numbers = hn::RebindToSigned<Floats>;
  int32_t* tokens_;
  hn::Vec<Numbers> ramp_;
  int64_t size_ = 0;
};

void EstimatesOf(const ScreenTokens& all, const ScreenFeature& one, float* estimates) {
  const ScreenTokens tokens = all;
  const Feature feature(one);
  for_vectors(tokens.count, [&](int64_t t, auto /*is_new*/) HWY_ATTR {
    hn::StoreU(estimate(tokens, feature, t), Floats(), estimates + t);
  });
}

void RaiseToEstimates(const ScreenTokens& all, const ScreenFeature& one, float* maxima) {
  const Floats d;
  const ScreenTokens tokens = all;
  const Feature feature(one);
  for_vectors(tokens.count, [&](int64_t t, auto /*is_new*/) HWY_ATTR {
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

int64_t LikelyTokens(const ScreenTokens& all, const ScreenFeature& one, const float* bars,
                     int32_t* found) {
  const ScreenTokens tokens = all;
  const Feature feature(one);
  Found likely(found);
  for_vectors(tokens.count, [&](int64_t t, auto is_new) HWY_ATTR {
    const Vector e = estimate(tokens, feature, t);
    likely.append(hn::And(is_likely(e, bars + t), is_new), t);
  });
  return likely.size();
}

int64_t PossibleTokens(const ScreenTokens& all, const ScreenFeature& one, const float* bars,
                       const float* least, int32_t* found) {
  const Floats d;
  const ScreenTokens tokens = all;
  const Feature feature(one);
  Found possible(found);
  for_vectors(tokens.count, [&](int64_t t, auto is_new) HWY_ATTR {
    const Vector e = estimate(tokens, feature, t);
    const Vector upper = hn::Add(e, radius(tokens, feature, t));
    const auto in = hn::And(hn::Ge(upper, hn::LoadU(d, least + t)), hn::Gt(upper, hn::Zero(d)));
    possible.append(hn::AndNot(is_likely(e, bars + t), hn::And(in, is_new)), t);
  });
  return possible.size();
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
