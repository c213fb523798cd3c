// How Adam's few-byte weights and moments lie in memory (stored_kernels.h), a vector at a time, for
// files that Highway compiles once per instruction set: what stored numbers stand for, an element's
// random bits, and rounding by them to one of the two neighbours, so that the mean is the value.
#if defined(CROSSLOOM_STORED_NUMBERS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CROSSLOOM_STORED_NUMBERS_INL_H
#undef CROSSLOOM_STORED_NUMBERS_INL_H
#else
#define CROSSLOOM_STORED_NUMBERS_INL_H
#endif

#include <hwy/highway.h>

#include <cmath>

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
constexpr float kTiny = 1e-27F;  // below what a squared gradient, a moment or a divisor matters
constexpr float kSquares = 127.0F * 127.0F;
constexpr float kFourths = 255.0F * 255.0F * 255.0F * 255.0F;

/// A state block's part of its elements' random bits: a 64-bit mix of its first one's number under
/// the key.
HWY_INLINE uint32_t block_seed(uint64_t key, int64_t element) {
  uint64_t x = key + static_cast<uint64_t>(element) * 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return static_cast<uint32_t>((x ^ (x >> 31)) >> 32);
}

/// Random bits of a block's elements place, place + 1, …: multiplied, mixed, multiplied.
HWY_INLINE WordVector random_bits(uint32_t seed, int64_t place) {
  const Words d;
  WordVector x = hn::Add(hn::Iota(d, static_cast<uint32_t>(place)), hn::Set(d, seed));
  x = hn::Mul(x, hn::Set(d, 0x7FEB352DU));
  x = hn::Xor(x, hn::ShiftRight<15>(x));
  return hn::Mul(x, hn::Set(d, 0x846CA68BU));
}

/// The 16 of an element's random bits that weight, first and second moment round by in bfloat16,
/// and the number in [1, 2) that both moments round by in bytes. They overlap: each is uniform,
/// which is all that unbiased rounding needs.
struct WeightBits {
  static HWY_INLINE WordVector of(WordVector bits) { return hn::ShiftRight<16>(bits); }
};
struct FirstBits {
  static HWY_INLINE WordVector of(WordVector bits) {
    return hn::And(bits, hn::Set(Words(), 0xFFFFU));
  }
};
struct SecondBits {
  static HWY_INLINE WordVector of(WordVector bits) {
    return hn::And(hn::ShiftRight<8>(bits), hn::Set(Words(), 0xFFFFU));
  }
};
HWY_INLINE Vector number_from_one(WordVector bits) {
  const Words d;
  const WordVector fraction = hn::And(bits, hn::Set(d, 0x007FFFFFU));
  return hn::BitCast(Floats(), hn::Or(fraction, hn::Set(d, 0x3F800000U)));
}

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

template <typename Bits>
HWY_INLINE void store_number(Vector value, WordVector /*bits*/, Bits /*which*/, float* to) {
  hn::StoreU(value, Floats(), to);
}
template <typename Bits>
HWY_INLINE void store_number(Vector value, WordVector bits, Bits /*which*/, bfloat16_t* to) {
  const Words words;
  const hn::Rebind<uint16_t, Floats> half;
  const WordVector raised = hn::Add(hn::BitCast(words, value), Bits::of(bits));
  hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(raised)), half,
             reinterpret_cast<uint16_t*>(to));
}

/// Rounds `below` up to the next code by chance, so that the mean of what the codes stand for is
/// the value: up where random · gap < over. `gap`: what the next code stands for more than `below`;
/// `over`: what the value exceeds `below` by.
HWY_INLINE Vector chosen_code(Vector below, Vector gap, Vector over, WordVector bits,
                              float largest) {
  const Floats d;
  const auto up = hn::Lt(hn::MulSub(number_from_one(bits), gap, gap), over);
  const Vector code = hn::Add(below, hn::IfThenElseZero(up, hn::Set(d, 1.0F)));
  return hn::Min(code, hn::Set(d, largest));
}

/// Whole numbers of magnitude below 2²² into bytes: adding 1.5 · 2²³ leaves them, in two's
/// complement, in the lowest bits.
template <typename Byte>
HWY_INLINE void store_bytes(Vector whole, Byte* to) {
  const hn::Rebind<uint8_t, Floats> bytes;
  const Vector raised = hn::Add(whole, hn::Set(Floats(), 0x1.8p23F));
  hn::StoreU(hn::TruncateTo(bytes, hn::BitCast(Words(), raised)), bytes,
             reinterpret_cast<uint8_t*>(to));
}

/// A block's moment on its way back to memory: what one kind of storage needs of all its vectors.
/// inverse_roots[v] ≈ 1/√values[v] where the moment is the second.
template <typename Number>
struct StoredMoment {
  template <typename Bits>
  static HWY_INLINE void store(const Vector* values, const Vector* /*inverse_roots*/,
                               const WordVector* bits, Bits which, Number* to, float* /*scale*/) {
    CROSSLOOM_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      store_number(values[v], bits[v], which, to + v * kLanes);
    }
  }
};

HWY_INLINE float largest_of(const Vector* values) {
  const Floats d;
  Vector most = hn::Abs(values[0]);
  CROSSLOOM_UNROLL
  for (int v = 1; v < kVectors; ++v) {
    most = hn::Max(most, hn::Abs(values[v]));
  }
  return hn::GetLane(hn::MaxOfLanes(d, most));
}

template <>
struct StoredMoment<int8_t> {
  template <typename Bits>
  static HWY_INLINE void store(const Vector* values, const Vector* /*inverse_roots*/,
                               const WordVector* bits, Bits /*which*/, int8_t* to, float* scale) {
    const Floats d;
    *scale = largest_of(values);
    const Vector per_unit = hn::Set(d, *scale > kTiny ? kSquares / *scale : 0.0F);
    const Vector one = hn::Set(d, 1.0F);
    const Vector two = hn::Set(d, 2.0F);
    CROSSLOOM_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Vector square = hn::MulAdd(hn::Abs(values[v]), per_unit, hn::Set(d, kTiny));
      const Vector root = hn::Mul(square, hn::ApproximateReciprocalSqrt(square));
      const Vector below = hn::Floor(root);
      const Vector gap = hn::MulAdd(below, two, one);  // (q + 1)² − q²
      const Vector over = hn::NegMulAdd(below, below, square);
      const Vector code = chosen_code(below, gap, over, bits[v], 127.0F);
      store_bytes(hn::CopySign(code, values[v]), to + v * kLanes);
    }
  }
};

template <>
struct StoredMoment<uint8_t> {
  /// Values ≥ kTiny.
  template <typename Bits>
  static HWY_INLINE void store(const Vector* values, const Vector* inverse_roots,
                               const WordVector* bits, Bits /*which*/, uint8_t* to, float* scale) {
    const Floats d;
    *scale = largest_of(values);
    const float fourths = kFourths / *scale;
    const Vector per_unit = hn::Set(d, fourths);
    const Vector code_unit = hn::Set(d, std::sqrt(std::sqrt(fourths)));
    const Vector one = hn::Set(d, 1.0F);
    const Vector two = hn::Set(d, 2.0F);
    CROSSLOOM_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Vector fourth = hn::Mul(values[v], per_unit);
      const Vector root = hn::ApproximateReciprocalSqrt(inverse_roots[v]);  // values^¼
      const Vector below = hn::Floor(hn::Mul(root, code_unit));
      const Vector square = hn::Mul(below, below);
      const Vector step = hn::MulAdd(below, two, one);                  // (q + 1)² − q²
      const Vector gap = hn::Mul(hn::MulAdd(square, two, step), step);  // (q + 1)⁴ − q⁴
      const Vector over = hn::NegMulAdd(square, square, fourth);
      store_bytes(chosen_code(below, gap, over, bits[v], 255.0F), to + v * kLanes);
    }
  }
};

}  // namespace crossloom::trainer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
