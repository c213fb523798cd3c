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
using crossloom::HWY_NAMESPACE::in_register;
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

/// Vectors of a block that go through each operation side by side: while one's result is on its
/// way, the others' are begun.
constexpr int kAbreast = kVectors < 4 ? kVectors : 4;
struct Abreast {
  Vector v[kAbreast];
};

/// op(k) of every vector, before anything that comes after.
template <typename Op>
HWY_INLINE Abreast each(Op&& op) {
  Abreast result;
  CROSSLOOM_UNROLL
  for (int k = 0; k < kAbreast; ++k) {
    result.v[k] = in_register(op(k));
  }
  return result;
}

/// By what numbers are rounded: random bits, and what they say to bytes, w − ½ and t.
struct Rounding {
  explicit HWY_INLINE Rounding(const WordVector* random) : bits(random) {
    const Floats d;
    const Abreast w =
        each([&](int k) HWY_ATTR { return hn::ConvertTo(d, hn::BitCast(Integers(), bits[k])); });
    offset = each(
        [&](int k) HWY_ATTR { return hn::MulSub(w.v[k], hn::Set(d, 0x1p-16F), hn::Set(d, 0.5F)); });
    variance = each(
        [&](int k) HWY_ATTR { return hn::NegMulAdd(offset.v[k], offset.v[k], hn::Set(d, 0.25F)); });
  }

  const WordVector* bits;  // [kAbreast]
  Abreast offset;
  Abreast variance;
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

template <typename Number>
HWY_INLINE void store_numbers(const Abreast& numbers, const Rounding& rounding, Number* to) {
  CROSSLOOM_UNROLL
  for (int k = 0; k < kAbreast; k += 2) {
    store_two(numbers.v[k], numbers.v[k + 1], rounding.bits[k], rounding.bits[k + 1],
              to + k * kLanes);
  }
}
template <typename Byte>
HWY_INLINE void store_codes(const Abreast& codes, Byte* to) {
  CROSSLOOM_UNROLL
  for (int k = 0; k < kAbreast; k += 2) {
    store_two_codes(codes.v[k], codes.v[k + 1], to + k * kLanes);
  }
}

/// What a block's first moments, counted in units of `unit`, are multiplied by on their way back to
/// memory; `largest` is the largest magnitude among them. Bytes' scale is written.
template <typename Number>
HWY_INLINE float first_factor(float unit, float /*largest*/, const Number*, float* /*scale*/) {
  return unit;
}
HWY_INLINE float first_factor(float unit, float largest, const int8_t*, float* scale) {
  *scale = largest * unit;
  return *scale > kTiny ? kSquares / largest : 0.0F;
}
template <typename Number>
HWY_INLINE void store_first(const Abreast& values, float factor, const Rounding& rounding,
                            Number* to) {
  const Floats d;
  store_numbers(each([&](int k) HWY_ATTR { return hn::Mul(values.v[k], hn::Set(d, factor)); }),
                rounding, to);
}
HWY_INLINE void store_first(const Abreast& values, float factor, const Rounding& rounding,
                            int8_t* to) {
  const Floats d;
  const Abreast wanted = each([&](int k) HWY_ATTR {
    return hn::MulSub(hn::Abs(values.v[k]), hn::Set(d, factor), rounding.variance.v[k]);
  });
  const Abreast square =
      each([&](int k) HWY_ATTR { return hn::Max(wanted.v[k], hn::Set(d, kTiny)); });
  const Abreast inverse =
      each([&](int k) HWY_ATTR { return hn::ApproximateReciprocalSqrt(square.v[k]); });
  const Abreast magnitude = each(
      [&](int k) HWY_ATTR { return hn::MulAdd(square.v[k], inverse.v[k], rounding.offset.v[k]); });
  const Abreast held =
      each([&](int k) HWY_ATTR { return hn::Min(magnitude.v[k], hn::Set(d, 127.0F)); });
  store_codes(each([&](int k) HWY_ATTR { return hn::CopySign(held.v[k], values.v[k]); }), to);
}

/// The same of second moments, given by their roots, of which bytes need a factor.
template <typename Number>
HWY_INLINE float second_factor(float unit, float /*largest*/, const Number*, float* /*scale*/) {
  return unit;
}
HWY_INLINE float second_factor(float unit, float largest, const uint8_t*, float* scale) {
  // A little more than the largest, so that its code plus the dither stays below 255½.
  const float root_of_scale = largest * (1.0F + 0x1p-20F);
  *scale = root_of_scale * root_of_scale * unit;
  return kSecondSquares / root_of_scale;
}
template <typename Number>
HWY_INLINE void store_second(const Abreast& roots, float factor, const Rounding& rounding,
                             Number* to) {
  const Floats d;
  store_numbers(each([&](int k) HWY_ATTR {
                  return hn::Mul(hn::Mul(roots.v[k], roots.v[k]), hn::Set(d, factor));
                }),
                rounding, to);
}
HWY_INLINE void store_second(const Abreast& roots, float factor, const Rounding& rounding,
                             uint8_t* to) {
  const Floats d;
  const Vector one = hn::Set(d, 1.0F);
  const Abreast root =
      each([&](int k) HWY_ATTR { return hn::Mul(roots.v[k], hn::Set(d, factor)); });
  const Abreast wanted = each([&](int k) HWY_ATTR {
    return hn::NegMulAdd(rounding.variance.v[k], hn::Set(d, 3.0F), root.v[k]);
  });
  const Abreast square = each([&](int k) HWY_ATTR { return hn::Max(wanted.v[k], one); });
  const Abreast rooted = each([&](int k) HWY_ATTR { return hn::Sqrt(square.v[k]); });
  const Abreast exact = each([&](int k) HWY_ATTR {
    return hn::IfThenElse(hn::Lt(root.v[k], one), hn::Mul(root.v[k], root.v[k]), rooted.v[k]);
  });
  store_codes(each([&](int k) HWY_ATTR { return hn::Add(exact.v[k], rounding.offset.v[k]); }), to);
}

}  // namespace crossloom::trainer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
