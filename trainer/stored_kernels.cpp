// Compiled once per instruction set by Highway (foreach_target), which also chooses at run time.
#include "trainer/stored_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "trainer/stored_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "architectures/kernels/load-inl.h"

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
constexpr float kTiny = 1e-30F;  // below what a squared gradient or a share of a scale matters

/// Random bits of elements element, element + 1, …: an integer hash (multiply and shift, twice) of
/// the element's number under the key. A vector across a multiple of 2³² keeps its first element's
/// upper half.
HWY_INLINE WordVector random_bits(uint64_t key, int64_t element) {
  const Words d;
  const auto number = static_cast<uint64_t>(element);
  const auto low = static_cast<uint32_t>(number);
  const auto high = static_cast<uint32_t>(number >> 32);
  const uint32_t start = static_cast<uint32_t>(key >> 32) ^ (high * 0x9E3779B9U);
  WordVector x = hn::Xor(hn::Add(hn::Iota(d, 0U), hn::Set(d, low)), hn::Set(d, start));
  x = hn::Add(x, hn::Set(d, static_cast<uint32_t>(key)));
  x = hn::Xor(x, hn::ShiftRight<16>(x));
  x = hn::Mul(x, hn::Set(d, 0x7FEB352DU));
  x = hn::Xor(x, hn::ShiftRight<15>(x));
  x = hn::Mul(x, hn::Set(d, 0x846CA68BU));
  return hn::Xor(x, hn::ShiftRight<16>(x));
}

/// The 16 of an element's random bits that weight, first and second moment round by. Those of the
/// second moment overlap the others': each is uniform, which is all that unbiased rounding needs.
struct WeightBits {
  static HWY_INLINE WordVector of(WordVector bits) {
    return hn::And(bits, hn::Set(Words(), 0xFFFFU));
  }
};
struct FirstBits {
  static HWY_INLINE WordVector of(WordVector bits) { return hn::ShiftRight<16>(bits); }
};
struct SecondBits {
  static HWY_INLINE WordVector of(WordVector bits) {
    return hn::And(hn::ShiftRight<8>(bits), hn::Set(Words(), 0xFFFFU));
  }
};

/// √x to 12 bits or more, x ≥ 0.
HWY_INLINE Vector quick_root(Vector x) {
  const Vector positive = hn::Max(x, hn::Set(Floats(), kTiny));
  return hn::Mul(x, hn::ApproximateReciprocalSqrt(positive));
}

/// Loads of moments; `scale` counts for bytes only.
template <typename Number>
HWY_INLINE Vector load_moment(const Number* from, float /*scale*/) {
  return load_as(Floats(), from);
}
HWY_INLINE Vector load_moment(const int8_t* from, float scale) {
  const Floats d;
  const hn::Rebind<int8_t, Floats> bytes;
  const Vector q = hn::ConvertTo(d, hn::PromoteTo(Integers(), hn::LoadU(bytes, from)));
  return hn::Mul(hn::Set(d, scale / (127.0F * 127.0F)), hn::Mul(q, hn::Abs(q)));
}
HWY_INLINE Vector load_moment(const uint8_t* from, float scale) {
  const Floats d;
  const hn::Rebind<uint8_t, Floats> bytes;
  const Vector q = hn::ConvertTo(d, hn::PromoteTo(Integers(), hn::LoadU(bytes, from)));
  const Vector square = hn::Mul(q, q);
  return hn::Mul(hn::Set(d, scale / (255.0F * 255.0F * 255.0F * 255.0F)), hn::Mul(square, square));
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
/// `over`: what the value exceeds `below` by; `bits`: 16 random ones.
HWY_INLINE Vector chosen_code(Vector below, Vector gap, Vector over, WordVector bits,
                              float largest) {
  const Floats d;
  const Vector number = hn::ConvertTo(d, hn::BitCast(Integers(), bits));  // random · 2¹⁶
  const auto up = hn::Lt(hn::Mul(number, gap), hn::Mul(over, hn::Set(d, 0x1p16F)));
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
template <typename Number>
struct StoredMoment {
  template <typename Bits>
  static HWY_INLINE void store(const Vector* values, const Vector* /*roots*/,
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
  static HWY_INLINE void store(const Vector* values, const Vector* /*roots*/,
                               const WordVector* bits, Bits /*which*/, int8_t* to, float* scale) {
    const Floats d;
    *scale = largest_of(values);
    const Vector per_unit = hn::Set(d, *scale > 0.0F ? 127.0F * 127.0F / *scale : 0.0F);
    const Vector one = hn::Set(d, 1.0F);
    const Vector two = hn::Set(d, 2.0F);
    CROSSLOOM_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Vector square = hn::Mul(hn::Abs(values[v]), per_unit);
      const Vector below = hn::Floor(quick_root(square));
      const Vector gap = hn::MulAdd(below, two, one);  // (q + 1)² − q²
      const Vector over = hn::NegMulAdd(below, below, square);
      const Vector code = chosen_code(below, gap, over, Bits::of(bits[v]), 127.0F);
      store_bytes(hn::CopySign(code, values[v]), to + v * kLanes);
    }
  }
};

template <>
struct StoredMoment<uint8_t> {
  /// Values ≥ 0; roots[v] ≈ √values[v].
  template <typename Bits>
  static HWY_INLINE void store(const Vector* values, const Vector* roots, const WordVector* bits,
                               Bits /*which*/, uint8_t* to, float* scale) {
    const Floats d;
    constexpr float kFourth = 255.0F * 255.0F * 255.0F * 255.0F;
    *scale = largest_of(values);
    const float fourths = *scale > 0.0F ? kFourth / *scale : 0.0F;
    const Vector per_unit = hn::Set(d, fourths);
    const Vector root_per_unit = hn::Set(d, std::sqrt(fourths));
    const Vector one = hn::Set(d, 1.0F);
    const Vector two = hn::Set(d, 2.0F);
    CROSSLOOM_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Vector fourth = hn::Mul(values[v], per_unit);
      const Vector below = hn::Floor(quick_root(hn::Mul(roots[v], root_per_unit)));
      const Vector square = hn::Mul(below, below);
      const Vector step = hn::MulAdd(below, two, one);                  // (q + 1)² − q²
      const Vector gap = hn::Mul(hn::MulAdd(square, two, step), step);  // (q + 1)⁴ − q⁴
      const Vector over = hn::NegMulAdd(square, square, fourth);
      const Vector code = chosen_code(below, gap, over, Bits::of(bits[v]), 255.0F);
      store_bytes(code, to + v * kLanes);
    }
  }
};

/// Where a block of 64 elements lies; null first: β₁ = 0.
template <typename WeightType, typename FirstType, typename SecondType>
struct Block {
  using Weight = WeightType;
  using First = FirstType;
  using Second = SecondType;

  const float* gradient;
  Weight* weight;
  First* first;
  Second* second;
  float* first_scale;
  float* second_scale;
};

template <bool kFirst, typename Block>
HWY_INLINE void update_block(const Block& block, int64_t element, const StoredCoefficients& c,
                             float root_of_smallest) {
  const Floats d;
  Vector first[kVectors];
  Vector second[kVectors];
  Vector root[kVectors];
  WordVector bits[kVectors];
  const float first_scale = kFirst && block.first_scale != nullptr ? *block.first_scale : 0.0F;
  const float second_scale = block.second_scale != nullptr ? *block.second_scale : 0.0F;
  CROSSLOOM_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const int64_t i = v * kLanes;
    const Vector gradient = hn::Mul(hn::LoadU(d, block.gradient + i), hn::Set(d, c.adam.scale));
    first[v] = gradient;
    if constexpr (kFirst) {
      first[v] = hn::MulAdd(hn::Set(d, c.adam.beta1), load_moment(block.first + i, first_scale),
                            hn::Mul(hn::Set(d, c.adam.rest1), gradient));
    }
    second[v] = hn::MulAdd(hn::Set(d, c.adam.beta2), load_moment(block.second + i, second_scale),
                           hn::Mul(hn::Mul(hn::Set(d, c.adam.rest2), gradient), gradient));
    root[v] = quick_root(second[v]);
    const Vector used = hn::Max(root[v], hn::Mul(hn::Abs(first[v]), hn::Set(d, root_of_smallest)));
    const Vector below = hn::MulAdd(used, hn::Set(d, c.adam.root), hn::Set(d, c.adam.epsilon));
    const Vector move = hn::Mul(hn::Mul(hn::Set(d, c.adam.step_size), first[v]),
                                hn::ApproximateReciprocal(hn::Max(below, hn::Set(d, kTiny))));
    bits[v] = random_bits(c.key, element + i);
    store_number(hn::Sub(load_as(d, block.weight + i), move), bits[v], WeightBits(),
                 block.weight + i);
  }
  StoredMoment<typename Block::Second>::store(second, root, bits, SecondBits(), block.second,
                                              block.second_scale);
  if constexpr (kFirst) {
    StoredMoment<typename Block::First>::store(first, root, bits, FirstBits(), block.first,
                                               block.first_scale);
  }
}

/// The last block of a row, where it has fewer elements: worked on in copies that zeros fill up.
template <bool kFirst, typename Block>
HWY_INLINE void update_part(const Block& block, int64_t count, int64_t element,
                            const StoredCoefficients& c, float root_of_smallest) {
  HWY_ALIGN float gradient[kStateBlock] = {};
  HWY_ALIGN typename Block::Weight weight[kStateBlock] = {};
  HWY_ALIGN typename Block::First first[kStateBlock] = {};
  HWY_ALIGN typename Block::Second second[kStateBlock] = {};
  const auto copy = [count](const auto* from, auto* to) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(*from));
  };
  copy(block.gradient, gradient);
  copy(block.weight, weight);
  copy(block.second, second);
  if constexpr (kFirst) {
    copy(block.first, first);
  }
  update_block<kFirst>(
      Block{gradient, weight, first, second, block.first_scale, block.second_scale}, element, c,
      root_of_smallest);
  copy(weight, block.weight);
  copy(second, block.second);
  if constexpr (kFirst) {
    copy(first, block.first);
  }
}

template <bool kFirst, typename Weight, typename First, typename Second>
HWY_INLINE void update_stretch(const StoredStretch& stretch, const float* g, int64_t count,
                               int64_t element, const StoredCoefficients& c) {
  const float root_of_smallest = std::sqrt(c.smallest_second);
  Block<Weight, First, Second> block{.gradient = g,
                                     .weight = static_cast<Weight*>(stretch.weights),
                                     .first = static_cast<First*>(stretch.first),
                                     .second = static_cast<Second*>(stretch.second),
                                     .first_scale = stretch.first_scales,
                                     .second_scale = stretch.second_scales};
  const bool has_scales = sizeof(Second) == 1;
  int64_t i = 0;
  for (; i + kStateBlock <= count; i += kStateBlock) {
    update_block<kFirst>(block, element + i, c, root_of_smallest);
    block.gradient += kStateBlock;
    block.weight += kStateBlock;
    block.second += kStateBlock;
    block.second_scale += has_scales ? 1 : 0;
    if constexpr (kFirst) {
      block.first += kStateBlock;
      block.first_scale += has_scales ? 1 : 0;
    }
  }
  if (i < count) {
    update_part<kFirst>(block, count - i, element + i, c, root_of_smallest);
  }
}

template <typename Weight, typename First, typename Second>
HWY_INLINE void update_typed(const StoredStretch& stretch, const float* g, int64_t count,
                             int64_t element, const StoredCoefficients& c) {
  if (stretch.first != nullptr) {
    update_stretch<true, Weight, First, Second>(stretch, g, count, element, c);
  } else {
    update_stretch<false, Weight, First, Second>(stretch, g, count, element, c);
  }
}

template <typename Weight>
HWY_INLINE void update_weights(const StoredStretch& stretch, const float* g, int64_t count,
                               int64_t element, const StoredCoefficients& c) {
  switch (stretch.state_type) {
    case Stored::kFloat:
      return update_typed<Weight, float, float>(stretch, g, count, element, c);
    case Stored::kHalf:
      return update_typed<Weight, bfloat16_t, bfloat16_t>(stretch, g, count, element, c);
    case Stored::kByte:
      return update_typed<Weight, int8_t, uint8_t>(stretch, g, count, element, c);
  }
}

void StoredStretchBody(const StoredStretch& stretch, const float* g, int64_t count, int64_t element,
                       const StoredCoefficients& c) {
  if (stretch.weight_type == Stored::kFloat) {
    update_weights<float>(stretch, g, count, element, c);
  } else {
    update_weights<bfloat16_t>(stretch, g, count, element, c);
  }
}

}  // namespace crossloom::trainer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace crossloom::trainer {

HWY_EXPORT(StoredStretchBody);

void adam_stored_stretch(const StoredStretch& stretch, const float* g, int64_t count,
                         int64_t element, const StoredCoefficients& c) {
  HWY_DYNAMIC_DISPATCH(StoredStretchBody)(stretch, g, count, element, c);
}

double smallest_second(double beta1, double beta2) {
  const double decay = 1.0 - beta1 * beta1 / beta2;
  return decay > 0.0 ? (1.0 - beta2) * decay / ((1.0 - beta1) * (1.0 - beta1)) : 0.0;
}

}  // namespace crossloom::trainer
#endif
