// Compiled once per instruction set by Highway (foreach_target), which also chooses at run time.
#include "trainer/stored_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "trainer/stored_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "architectures/kernels/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace crossloom::trainer::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using crossloom::HWY_NAMESPACE::load_as;
using hwy::bfloat16_t;

using Floats = hn::ScalableTag<float>;
using Words = hn::RebindToUnsigned<Floats>;
using Vector = hn::Vec<Floats>;
using WordVector = hn::Vec<Words>;

constexpr float kTiny = 1e-30F;  // below what a squared gradient or a share of a scale matters

/// A block's numbers as float32; what lies beyond the stretch's end is 0.
struct Block {
  HWY_ALIGN float weight[kStateBlock];
  HWY_ALIGN float gradient[kStateBlock];
  HWY_ALIGN float first[kStateBlock];
  HWY_ALIGN float second[kStateBlock];
};

template <typename Body>
HWY_INLINE void for_lanes(Body&& body) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  for (int64_t i = 0; i < kStateBlock; i += lanes) {
    body(i);
  }
}

/// 32 well-mixed bits of a number (an integer hash: multiply and shift, twice).
HWY_INLINE WordVector mix(WordVector x) {
  const Words d;
  x = hn::Xor(x, hn::ShiftRight<16>(x));
  x = hn::Mul(x, hn::Set(d, 0x7FEB352DU));
  x = hn::Xor(x, hn::ShiftRight<15>(x));
  x = hn::Mul(x, hn::Set(d, 0x846CA68BU));
  return hn::Xor(x, hn::ShiftRight<16>(x));
}

/// Random bits of elements element + i, of two kinds: `salt` tells them apart.
HWY_INLINE WordVector random_bits(uint64_t key, int64_t element, uint32_t salt) {
  const Words d;
  const auto number = static_cast<uint64_t>(element);
  const auto low = static_cast<uint32_t>(number);
  const auto high = static_cast<uint32_t>(number >> 32);
  const uint32_t start = static_cast<uint32_t>(key) ^ (high * 0x9E3779B9U) ^ salt;
  const WordVector places = hn::Add(hn::Iota(d, 0U), hn::Set(d, low));
  return mix(hn::Add(mix(hn::Xor(places, hn::Set(d, start))),
                     hn::Set(d, static_cast<uint32_t>(key >> 32))));
}

/// 16 random bits → [0, 1).
HWY_INLINE Vector unit(WordVector bits) {
  const Floats d;
  const hn::RebindToSigned<Floats> integers;
  return hn::Mul(hn::ConvertTo(d, hn::BitCast(integers, bits)), hn::Set(d, 0x1p-16F));
}
HWY_INLINE WordVector low_bits(WordVector bits) {
  return hn::And(bits, hn::Set(Words(), 0xFFFFU));
}
HWY_INLINE WordVector high_bits(WordVector bits) {
  return hn::ShiftRight<16>(bits);
}

/// √x to 12 bits or more, x ≥ 0.
HWY_INLINE Vector quick_root(Vector x) {
  const Vector positive = hn::Max(x, hn::Set(Floats(), kTiny));
  return hn::Mul(x, hn::ApproximateReciprocalSqrt(positive));
}

template <typename Type>
HWY_INLINE void load_floats(const void* from, int64_t count, float* to) {
  const Floats d;
  const auto* data = static_cast<const Type*>(from);
  if (count == kStateBlock) {
    for_lanes([&](int64_t i) { hn::Store(load_as(d, data + i), d, to + i); });
    return;
  }
  HWY_ALIGN Type whole[kStateBlock] = {};
  std::memcpy(whole, data, static_cast<size_t>(count) * sizeof(Type));
  for_lanes([&](int64_t i) { hn::Store(load_as(d, whole + i), d, to + i); });
}

HWY_INLINE void store_floats(const float* from, int64_t count, void* to) {
  std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
}

/// bits(i): 16 random bits of element i.
template <typename Bits>
HWY_INLINE void store_halves(const float* from, int64_t count, void* to, Bits&& bits) {
  const Floats d;
  const Words words;
  const hn::Rebind<uint16_t, Floats> half;
  HWY_ALIGN uint16_t rounded[kStateBlock];
  for_lanes([&](int64_t i) {
    const WordVector number = hn::BitCast(words, hn::Load(d, from + i));
    const WordVector raised = hn::Add(number, bits(i));
    hn::Store(hn::TruncateTo(half, hn::ShiftRight<16>(raised)), half, rounded + i);
  });
  std::memcpy(to, rounded, static_cast<size_t>(count) * sizeof(uint16_t));
}

/// Largest magnitude of a block.
HWY_INLINE float largest(const float* values) {
  const Floats d;
  Vector most = hn::Zero(d);
  for_lanes([&](int64_t i) { most = hn::Max(most, hn::Abs(hn::Load(d, values + i))); });
  return hn::GetLane(hn::MaxOfLanes(d, most));
}

HWY_INLINE void load_first_bytes(const void* from, int64_t count, float scale, float* to) {
  const Floats d;
  const hn::RebindToSigned<Floats> integers;
  const hn::Rebind<int8_t, Floats> bytes;
  HWY_ALIGN int8_t codes[kStateBlock] = {};
  std::memcpy(codes, from, static_cast<size_t>(count));
  const Vector unit_square = hn::Set(d, scale / (127.0F * 127.0F));
  for_lanes([&](int64_t i) {
    const Vector q = hn::ConvertTo(d, hn::PromoteTo(integers, hn::Load(bytes, codes + i)));
    hn::Store(hn::Mul(unit_square, hn::Mul(q, hn::Abs(q))), d, to + i);
  });
}

HWY_INLINE void load_second_bytes(const void* from, int64_t count, float scale, float* to) {
  const Floats d;
  const hn::RebindToSigned<Floats> integers;
  const hn::Rebind<uint8_t, Floats> bytes;
  HWY_ALIGN uint8_t codes[kStateBlock] = {};
  std::memcpy(codes, from, static_cast<size_t>(count));
  const Vector unit_fourth = hn::Set(d, scale / (255.0F * 255.0F * 255.0F * 255.0F));
  for_lanes([&](int64_t i) {
    const Vector q = hn::ConvertTo(d, hn::PromoteTo(integers, hn::Load(bytes, codes + i)));
    const Vector square = hn::Mul(q, q);
    hn::Store(hn::Mul(unit_fourth, hn::Mul(square, square)), d, to + i);
  });
}

/// Returns the scale. `random(i)`: [0, 1) of element i.
template <typename Random>
HWY_INLINE float store_first_bytes(const float* from, int64_t count, void* to, Random&& random) {
  const Floats d;
  const hn::RebindToSigned<Floats> integers;
  const hn::Rebind<int8_t, Floats> bytes;
  const float scale = largest(from);
  const Vector squares_per_unit = hn::Set(d, scale > 0.0F ? 127.0F * 127.0F / scale : 0.0F);
  HWY_ALIGN int8_t codes[kStateBlock];
  for_lanes([&](int64_t i) {
    const Vector value = hn::Load(d, from + i);
    const Vector square = hn::Mul(hn::Abs(value), squares_per_unit);
    const Vector below = hn::Floor(quick_root(square));
    const Vector gap = hn::MulAdd(below, hn::Set(d, 2.0F), hn::Set(d, 1.0F));
    const Vector share =
        hn::Mul(hn::NegMulAdd(below, below, square), hn::ApproximateReciprocal(gap));
    const Vector step = hn::IfThenElseZero(hn::Lt(random(i), share), hn::Set(d, 1.0F));
    const Vector code = hn::Min(hn::Add(below, step), hn::Set(d, 127.0F));
    hn::Store(hn::DemoteTo(bytes, hn::ConvertTo(integers, hn::CopySign(code, value))), bytes,
              codes + i);
  });
  std::memcpy(to, codes, static_cast<size_t>(count));
  return scale;
}

/// As store_first_bytes, for values ≥ 0.
template <typename Random>
HWY_INLINE float store_second_bytes(const float* from, int64_t count, void* to, Random&& random) {
  const Floats d;
  const hn::RebindToSigned<Floats> integers;
  const hn::Rebind<uint8_t, Floats> bytes;
  const float scale = largest(from);
  constexpr float kFourth = 255.0F * 255.0F * 255.0F * 255.0F;
  const Vector fourths_per_unit = hn::Set(d, scale > 0.0F ? kFourth / scale : 0.0F);
  const Vector one = hn::Set(d, 1.0F);
  HWY_ALIGN uint8_t codes[kStateBlock];
  for_lanes([&](int64_t i) {
    const Vector fourth = hn::Mul(hn::Load(d, from + i), fourths_per_unit);
    const Vector below = hn::Floor(quick_root(quick_root(fourth)));
    const Vector square = hn::Mul(below, below);
    const Vector next = hn::Add(below, one);
    const Vector next_square = hn::Mul(next, next);
    const Vector base = hn::Mul(square, square);
    const Vector gap = hn::Sub(hn::Mul(next_square, next_square), base);
    const Vector share = hn::Mul(hn::Sub(fourth, base), hn::ApproximateReciprocal(gap));
    const Vector step = hn::IfThenElseZero(hn::Lt(random(i), share), one);
    const Vector code = hn::Min(hn::Add(below, step), hn::Set(d, 255.0F));
    hn::Store(hn::DemoteTo(bytes, hn::ConvertTo(integers, code)), bytes, codes + i);
  });
  std::memcpy(to, codes, static_cast<size_t>(count));
  return scale;
}

HWY_INLINE void update(Block& block, bool has_first, const StoredCoefficients& c) {
  const Floats d;
  for_lanes([&](int64_t i) {
    const Vector gradient = hn::Mul(hn::Load(d, block.gradient + i), hn::Set(d, c.adam.scale));
    Vector first = gradient;
    if (has_first) {
      first = hn::MulAdd(hn::Set(d, c.adam.beta1), hn::Load(d, block.first + i),
                         hn::Mul(hn::Set(d, c.adam.rest1), gradient));
      hn::Store(first, d, block.first + i);
    }
    const Vector second =
        hn::MulAdd(hn::Set(d, c.adam.beta2), hn::Load(d, block.second + i),
                   hn::Mul(hn::Mul(hn::Set(d, c.adam.rest2), gradient), gradient));
    hn::Store(second, d, block.second + i);
    const Vector used =
        hn::Max(second, hn::Mul(hn::Mul(first, first), hn::Set(d, c.smallest_second)));
    const Vector below =
        hn::MulAdd(quick_root(used), hn::Set(d, c.adam.root), hn::Set(d, c.adam.epsilon));
    const Vector move = hn::Mul(hn::Mul(hn::Set(d, c.adam.step_size), first),
                                hn::ApproximateReciprocal(hn::Max(below, hn::Set(d, kTiny))));
    hn::Store(hn::Sub(hn::Load(d, block.weight + i), move), d, block.weight + i);
  });
}

/// Pointer to element i of something stored as `type`.
HWY_INLINE void* element_at(void* data, Stored type, int64_t i) {
  const int64_t bytes = type == Stored::kFloat ? 4 : type == Stored::kHalf ? 2 : 1;
  return static_cast<char*>(data) + i * bytes;
}

void StoredStretchBody(const StoredStretch& stretch, const float* g, int64_t count, int64_t element,
                       const StoredCoefficients& c) {
  constexpr uint32_t kWeightAndFirst = 0U;
  constexpr uint32_t kSecond = 0x68E31DA4U;
  Block block;
  const bool has_first = stretch.first != nullptr;
  for (int64_t begin = 0; begin < count; begin += kStateBlock) {
    const int64_t n = std::min(kStateBlock, count - begin);
    const int64_t number = begin / kStateBlock;
    void* weights = element_at(stretch.weights, stretch.weight_type, begin);
    void* first = has_first ? element_at(stretch.first, stretch.state_type, begin) : nullptr;
    void* second = element_at(stretch.second, stretch.state_type, begin);
    const auto bits = [&](int64_t i, uint32_t salt) {
      return random_bits(c.key, element + begin + i, salt);
    };
    const auto weight_bits = [&](int64_t i) { return low_bits(bits(i, kWeightAndFirst)); };
    const auto first_bits = [&](int64_t i) { return high_bits(bits(i, kWeightAndFirst)); };
    const auto second_bits = [&](int64_t i) { return low_bits(bits(i, kSecond)); };

    load_floats<float>(g + begin, n, block.gradient);
    if (stretch.weight_type == Stored::kFloat) {
      load_floats<float>(weights, n, block.weight);
    } else {
      load_floats<bfloat16_t>(weights, n, block.weight);
    }
    switch (stretch.state_type) {
      case Stored::kFloat:
        load_floats<float>(second, n, block.second);
        if (has_first) {
          load_floats<float>(first, n, block.first);
        }
        break;
      case Stored::kHalf:
        load_floats<bfloat16_t>(second, n, block.second);
        if (has_first) {
          load_floats<bfloat16_t>(first, n, block.first);
        }
        break;
      case Stored::kByte:
        load_second_bytes(second, n, stretch.second_scales[number], block.second);
        if (has_first) {
          load_first_bytes(first, n, stretch.first_scales[number], block.first);
        }
        break;
    }
    update(block, has_first, c);
    if (stretch.weight_type == Stored::kFloat) {
      store_floats(block.weight, n, weights);
    } else {
      store_halves(block.weight, n, weights, weight_bits);
    }
    switch (stretch.state_type) {
      case Stored::kFloat:
        store_floats(block.second, n, second);
        if (has_first) {
          store_floats(block.first, n, first);
        }
        break;
      case Stored::kHalf:
        store_halves(block.second, n, second, second_bits);
        if (has_first) {
          store_halves(block.first, n, first, first_bits);
        }
        break;
      case Stored::kByte:
        stretch.second_scales[number] = store_second_bytes(
            block.second, n, second, [&](int64_t i) { return unit(second_bits(i)); });
        if (has_first) {
          stretch.first_scales[number] = store_first_bytes(
              block.first, n, first, [&](int64_t i) { return unit(first_bits(i)); });
        }
        break;
    }
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
