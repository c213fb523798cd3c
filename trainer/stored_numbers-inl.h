// How Adam's few-byte weights and moments lie in memory (stored_kernels.h), a vector at a time, for
// files that Highway compiles once per instruction set: what stored numbers stand for, an element's
// random bits, and rounding by them to one of the two neighbours, so that the mean is the value.
//
// Bytes stand for squares or fourth powers. With w uniform in [0, 1), u = 1 − w and t = u w:
//
// Squares: q = ⌊√(y − t) + w⌋ is k + 1 rather than k where √(y − t) ≥ k + u, that is where
// u ≤ (y − k²)/((k+1)² − k²): the mean of q² is y, up to the estimate of the root (2⁻¹² of y, or
// 2⁻¹⁰ without AVX-512).
//
// Fourth powers: q = ⌊√(√y − 3t) + w⌋ compares y with ((k+u)² + 3t)², where the mean would need
// k⁴ + u((k+1)⁴ − k⁴): off by 1/(2q³) of y at most, to either side. That adds up while a moment
// decays slowly, so below 1 the exact rule stands, q = ⌊y + w⌋, and from there on √y − 3t counts as
// 1 at least. Measured after 6,000 roundings with β₂ = 0.999: up to 13 % low in codes from 1 to 2,
// 5 % at ½, 2 % from 2 on. w has 16 bits: what a step adds to code 0 is lost where it is below
// 2⁻¹⁶, so that moments below about code 0.35 stay 0.
#if defined(CROSSLOOM_STORED_NUMBERS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CROSSLOOM_STORED_NUMBERS_INL_H
#undef CROSSLOOM_STORED_NUMBERS_INL_H
#else
#define CROSSLOOM_STORED_NUMBERS_INL_H
#endif

#include <hwy/highway.h>

#include "architectures/kernels/load-inl.h"
#include "trainer/state_block.h"

HWY_BEFORE_NAMESPACE();
namespace crossloom::trainer::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using crossloom::HWY_NAMESPACE::load_as;
using hwy::bfloat16_t;

using Floats = hn::ScalableTag<float>;
using Words = hn::RebindToUnsigned<Floats>;
using Integers = hn::RebindToSigned<Floats>;
using Vector = hn::Vec<Floats>;
using WordVector = hn::Vec<Words>;

constexpr auto kLanes = static_cast<int64_t>(hn::MaxLanes(Floats()));
constexpr int kVectors = static_cast<int>(kStateBlock / kLanes);  // of a block
constexpr float kSquares = 127.0F * 127.0F;
constexpr float kSecondSquares = 255.0F * 255.0F;
constexpr float kFourths = kSecondSquares * kSecondSquares;

/// A state block's part of its elements' random bits: a 64-bit mix of its first one's number under
/// the key.
HWY_INLINE uint32_t block_seed(uint64_t key, int64_t element) {
  uint64_t x = key + static_cast<uint64_t>(element) * 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return static_cast<uint32_t>((x ^ (x >> 31)) >> 32);
}

/// 16 random bits for each of a block's elements, by which weight and both moments are rounded:
/// each is uniform, which is all that unbiased rounding needs. Elements i and i + 32 share a word
/// (multiplied, mixed, multiplied), whose lower and upper half they have.
HWY_INLINE void draw_bits(uint32_t seed, WordVector* bits) {
  constexpr int kHalf = kVectors / 2;
  const Words d;
  CROSSLOOM_UNROLL
  for (int v = 0; v < kHalf; ++v) {
    const auto place = static_cast<uint32_t>(v * kLanes);
    WordVector x = hn::Mul(hn::Add(hn::Iota(d, place), hn::Set(d, seed)), hn::Set(d, 0x7FEB352DU));
    x = hn::Mul(hn::Xor(x, hn::ShiftRight<15>(x)), hn::Set(d, 0x846CA68BU));
    bits[v] = hn::And(x, hn::Set(d, 0xFFFFU));
    bits[v + kHalf] = hn::ShiftRight<16>(x);
  }
}

/// What random bits say to bytes: w − ½ and t.
struct Dither {
  explicit HWY_INLINE Dither(WordVector bits)
      : offset(hn::MulSub(hn::ConvertTo(Floats(), hn::BitCast(Integers(), bits)),
                          hn::Set(Floats(), 0x1p-16F), hn::Set(Floats(), 0.5F))),
        variance(hn::NegMulAdd(offset, offset, hn::Set(Floats(), 0.25F))) {}

  Vector offset;
  Vector variance;
};

/// Stored moments as numbers of the unit that `unit` names.
template <typename Number>
HWY_INLINE Vector load_moment(const Number* from) {
  return load_as(Floats(), from);
}
HWY_INLINE Vector load_moment(const int8_t* from) {
  const hn::Rebind<int8_t, Floats> bytes;
  const Vector q = hn::ConvertTo(Floats(), hn::PromoteTo(Integers(), hn::LoadU(bytes, from)));
  return hn::Mul(q, hn::Abs(q));
}
HWY_INLINE Vector load_moment(const uint8_t* from) {
  const hn::Rebind<uint8_t, Floats> bytes;
  const Vector q = hn::ConvertTo(Floats(), hn::PromoteTo(Integers(), hn::LoadU(bytes, from)));
  const Vector square = hn::Mul(q, q);
  return hn::Mul(square, square);
}
template <typename Number>
HWY_INLINE float unit(const Number* /*moment*/, const float* /*scale*/) {
  return 1.0F;
}
HWY_INLINE float unit(const int8_t* /*moment*/, const float* scale) {
  return *scale * (1.0F / kSquares);
}
HWY_INLINE float unit(const uint8_t* /*moment*/, const float* scale) {
  return *scale * (1.0F / kFourths);
}

HWY_INLINE void store_two(Vector low, Vector high, WordVector, WordVector, float* to) {
  hn::StoreU(low, Floats(), to);
  hn::StoreU(high, Floats(), to + kLanes);
}
HWY_INLINE void store_two(Vector low, Vector high, WordVector low_bits, WordVector high_bits,
                          bfloat16_t* to) {
  const Words words;
  const WordVector a = hn::Add(hn::BitCast(words, low), low_bits);
  const WordVector b = hn::Add(hn::BitCast(words, high), high_bits);
  auto* halves = reinterpret_cast<uint16_t*>(to);
#if HWY_TARGET == HWY_SCALAR
  halves[0] = static_cast<uint16_t>(hn::GetLane(a) >> 16);
  halves[1] = static_cast<uint16_t>(hn::GetLane(b) >> 16);
#else
  const hn::Repartition<uint16_t, Floats> d;
  hn::StoreU(hn::ConcatOdd(d, hn::BitCast(d, b), hn::BitCast(d, a)), d, halves);
#endif
}

/// Two vectors of codes before they are rounded, within half of what a byte holds: adding 1.5 · 2²³
/// rounds them, and leaves them, in two's complement, in the lowest bits.
template <typename Byte>
HWY_INLINE void store_two_codes(Vector low, Vector high, Byte* to) {
  const Vector raise = hn::Set(Floats(), 0x1.8p23F);
  const Vector a = hn::Add(low, raise);
  const Vector b = hn::Add(high, raise);
#if HWY_TARGET == HWY_SCALAR
  to[0] = static_cast<Byte>(hn::GetLane(hn::BitCast(Words(), a)));
  to[1] = static_cast<Byte>(hn::GetLane(hn::BitCast(Words(), b)));
#else
  const hn::Repartition<int16_t, Floats> d;
  const hn::Rebind<Byte, decltype(d)> bytes;
  const auto words = hn::ConcatEven(d, hn::BitCast(d, b), hn::BitCast(d, a));
  hn::StoreU(hn::DemoteTo(bytes, words), bytes, to);
#endif
}

/// A block's first moments, in units of `unit`, on their way back to memory; `largest` is the
/// largest magnitude among them.
template <typename Number>
HWY_INLINE void store_first(const float* HWY_RESTRICT values, const uint32_t* HWY_RESTRICT bits,
                            float unit, float /*largest*/, Number* to, float* /*scale*/) {
  const Floats d;
  const Vector factor = hn::Set(d, unit);
  CROSSLOOM_UNROLL
  for (int v = 0; v < kVectors; v += 2) {
    const int64_t i = v * kLanes;
    store_two(hn::Mul(hn::Load(d, values + i), factor),
              hn::Mul(hn::Load(d, values + i + kLanes), factor), hn::Load(Words(), bits + i),
              hn::Load(Words(), bits + i + kLanes), to + i);
  }
}
HWY_INLINE void store_first(const float* HWY_RESTRICT values, const uint32_t* HWY_RESTRICT bits,
                            float unit, float largest, int8_t* to, float* scale) {
  const Floats d;
  *scale = largest * unit;
  const Vector per_unit = hn::Set(d, *scale > kTiny ? kSquares / largest : 0.0F);
  const auto code = [&](int64_t i) HWY_ATTR {
    const Vector value = hn::Load(d, values + i);
    const Dither dither(hn::Load(Words(), bits + i));
    const Vector square =
        hn::Max(hn::MulSub(hn::Abs(value), per_unit, dither.variance), hn::Set(d, kTiny));
    const Vector magnitude =
        hn::MulAdd(square, hn::ApproximateReciprocalSqrt(square), dither.offset);
    return hn::CopySign(hn::Min(magnitude, hn::Set(d, 127.0F)), value);
  };
  CROSSLOOM_UNROLL
  for (int v = 0; v < kVectors; v += 2) {
    const int64_t i = v * kLanes;
    store_two_codes(code(i), code(i + kLanes), to + i);
  }
}

/// The same of second moments, given by their roots.
template <typename Number>
HWY_INLINE void store_second(const float* HWY_RESTRICT roots, const uint32_t* HWY_RESTRICT bits,
                             float unit, float /*largest*/, Number* to, float* /*scale*/) {
  const Floats d;
  const auto value = [&](int64_t i) HWY_ATTR {
    const Vector root = hn::Load(d, roots + i);
    return hn::Mul(hn::Mul(root, root), hn::Set(d, unit));
  };
  CROSSLOOM_UNROLL
  for (int v = 0; v < kVectors; v += 2) {
    const int64_t i = v * kLanes;
    store_two(value(i), value(i + kLanes), hn::Load(Words(), bits + i),
              hn::Load(Words(), bits + i + kLanes), to + i);
  }
}
HWY_INLINE void store_second(const float* HWY_RESTRICT roots, const uint32_t* HWY_RESTRICT bits,
                             float unit, float largest, uint8_t* to, float* scale) {
  const Floats d;
  // A little more than the largest, so that its code plus the dither stays below 255½.
  const float root_of_scale = largest * (1.0F + 0x1p-20F);
  *scale = root_of_scale * root_of_scale * unit;
  const Vector per_unit = hn::Set(d, kSecondSquares / root_of_scale);
  const auto code = [&](int64_t i) HWY_ATTR {
    const Dither dither(hn::Load(Words(), bits + i));
    const Vector one = hn::Set(d, 1.0F);
    const Vector root = hn::Mul(hn::Load(d, roots + i), per_unit);
    const Vector square = hn::NegMulAdd(dither.variance, hn::Set(d, 3.0F), root);
    const Vector exact =
        hn::IfThenElse(hn::Lt(root, one), hn::Mul(root, root), hn::Sqrt(hn::Max(square, one)));
    return hn::Add(exact, dither.offset);
  };
  CROSSLOOM_UNROLL
  for (int v = 0; v < kVectors; v += 2) {
    const int64_t i = v * kLanes;
    store_two_codes(code(i), code(i + kLanes), to + i);
  }
}

}  // namespace crossloom::trainer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
