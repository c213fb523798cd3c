// Compiled once per instruction set by Highway (foreach_target), which also chooses at run time.
#include "trainer/stored_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "trainer/stored_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "trainer/stored_numbers-inl.h"

HWY_BEFORE_NAMESPACE();
namespace crossloom::trainer::HWY_NAMESPACE {

/// What all blocks of a stretch share.
struct Rates {
  explicit Rates(const StoredCoefficients& c)
      : beta1(c.adam.beta1),
        beta2(c.adam.beta2),
        gradient(c.adam.scale),
        first(c.adam.scale * c.adam.rest1),
        root_of_second(c.adam.scale * std::sqrt(c.adam.rest2)),
        step_size(c.adam.step_size),
        root(c.adam.root),
        epsilon(std::max(c.adam.epsilon, kTiny)),
        root_of_smallest(std::sqrt(c.smallest_second)),
        key(c.key) {}

  float beta1, beta2;
  float gradient;        // what a gradient counts for by itself,
  float first;           // in the first moment,
  float root_of_second;  // and in the second one before it is squared
  float step_size, root, epsilon;
  float root_of_smallest;
  uint64_t key;
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

/// Moves a vector of weights. `inverse_root` ≈ 1/√second.
template <typename Weight>
HWY_INLINE void move_weights(Vector first, Vector second, Vector inverse_root, const Rates& rates,
                             WordVector bits, Weight* weight) {
  const Floats d;
  const Vector used = hn::Max(hn::Mul(second, inverse_root),
                              hn::Mul(hn::Abs(first), hn::Set(d, rates.root_of_smallest)));
  const Vector below = hn::MulAdd(used, hn::Set(d, rates.root), hn::Set(d, rates.epsilon));
  const Vector step = hn::Mul(hn::Set(d, rates.step_size), first);
  const Vector moved = hn::NegMulAdd(step, hn::ApproximateReciprocal(below), load_as(d, weight));
  store_number(moved, bits, WeightBits(), weight);
}

HWY_INLINE bool is_zero(const float* gradient) {
  const Floats d;
  Vector any = hn::LoadU(d, gradient);
  CROSSLOOM_UNROLL
  for (int v = 1; v < kVectors; ++v) {
    any = hn::Or(any, hn::LoadU(d, gradient + v * kLanes));
  }
  return hn::AllTrue(d, hn::Eq(any, hn::Zero(d)));
}

HWY_INLINE float decayed(float scale, float beta) {
  return scale > kTiny ? scale * beta : 0.0F;
}

/// The update of a block of bytes without gradient: its codes stay, their scales shrink.
template <bool kFirst, typename Block>
HWY_INLINE void decay_block(const Block& block, int64_t element, const Rates& rates) {
  const Floats d;
  *block.second_scale = decayed(*block.second_scale, rates.beta2);
  if constexpr (kFirst) {
    *block.first_scale = decayed(*block.first_scale, rates.beta1);
    if (*block.first_scale == 0.0F) {
      return;
    }
    const uint32_t seed = block_seed(rates.key, element);
    const Vector first_unit = hn::Set(d, unit(block.first, block.first_scale));
    const Vector second_unit = hn::Set(d, unit(block.second, block.second_scale));
    CROSSLOOM_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const int64_t i = v * kLanes;
      const Vector first = hn::Mul(load_moment(block.first + i), first_unit);
      const Vector second =
          hn::MulAdd(load_moment(block.second + i), second_unit, hn::Set(d, kTiny));
      move_weights(first, second, hn::ApproximateReciprocalSqrt(second), rates,
                   random_bits(seed, i), block.weight + i);
    }
  }
}

template <bool kFirst, typename Block>
HWY_INLINE void update_block(const Block& block, int64_t element, const Rates& rates) {
  if constexpr (sizeof(typename Block::Second) == 1) {
    if (is_zero(block.gradient)) {
      decay_block<kFirst>(block, element, rates);
      return;
    }
  }
  const Floats d;
  Vector first[kVectors];
  Vector second[kVectors];
  Vector inverse_root[kVectors];
  WordVector bits[kVectors];
  const uint32_t seed = block_seed(rates.key, element);
  const Vector old_first =
      hn::Set(d, kFirst ? rates.beta1 * unit(block.first, block.first_scale) : 0.0F);
  const Vector old_second = hn::Set(d, rates.beta2 * unit(block.second, block.second_scale));
  CROSSLOOM_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const int64_t i = v * kLanes;
    const Vector gradient = hn::LoadU(d, block.gradient + i);
    if constexpr (kFirst) {
      first[v] = hn::MulAdd(load_moment(block.first + i), old_first,
                            hn::Mul(hn::Set(d, rates.first), gradient));
    } else {
      first[v] = hn::Mul(hn::Set(d, rates.gradient), gradient);
    }
    const Vector root = hn::Mul(hn::Set(d, rates.root_of_second), gradient);
    second[v] = hn::MulAdd(
        root, root, hn::MulAdd(load_moment(block.second + i), old_second, hn::Set(d, kTiny)));
    inverse_root[v] = hn::ApproximateReciprocalSqrt(second[v]);
    bits[v] = random_bits(seed, i);
    move_weights(first[v], second[v], inverse_root[v], rates, bits[v], block.weight + i);
  }
  StoredMoment<typename Block::Second>::store(second, inverse_root, bits, SecondBits(),
                                              block.second, block.second_scale);
  if constexpr (kFirst) {
    StoredMoment<typename Block::First>::store(first, inverse_root, bits, FirstBits(), block.first,
                                               block.first_scale);
  }
}

/// The last block of a row, where it has fewer elements: worked on in copies that zeros fill up.
template <bool kFirst, typename Block>
HWY_INLINE void update_part(const Block& block, int64_t count, int64_t element,
                            const Rates& rates) {
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
      Block{gradient, weight, first, second, block.first_scale, block.second_scale}, element,
      rates);
  copy(weight, block.weight);
  copy(second, block.second);
  if constexpr (kFirst) {
    copy(first, block.first);
  }
}

template <bool kFirst, typename Weight, typename First, typename Second>
HWY_INLINE void update_stretch(const StoredStretch& stretch, const float* g, int64_t count,
                               int64_t element, const StoredCoefficients& c) {
  const Rates rates(c);
  Block<Weight, First, Second> block{.gradient = g,
                                     .weight = static_cast<Weight*>(stretch.weights),
                                     .first = static_cast<First*>(stretch.first),
                                     .second = static_cast<Second*>(stretch.second),
                                     .first_scale = stretch.first_scales,
                                     .second_scale = stretch.second_scales};
  const bool has_scales = sizeof(Second) == 1;
  int64_t i = 0;
  for (; i + kStateBlock <= count; i += kStateBlock) {
    update_block<kFirst>(block, element + i, rates);
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
    update_part<kFirst>(block, count - i, element + i, rates);
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
