// Compiled once per instruction set by Highway (foreach_target), which also chooses at run time.
#include "trainer/stored_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "trainer/stored_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/error.h"
#include "trainer/stored_numbers-inl.h"

HWY_BEFORE_NAMESPACE();
namespace crossloom::trainer::HWY_NAMESPACE {

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

  /// The block `count` blocks on.
  Block after(int64_t count) const {
    const int64_t n = count * kStateBlock;
    const int64_t scales = sizeof(Second) == 1 ? count : 0;
    return {.gradient = gradient + n,
            .weight = weight + n,
            .first = first == nullptr ? nullptr : first + n,
            .second = second + n,
            .first_scale = first_scale == nullptr ? nullptr : first_scale + scales,
            .second_scale = second_scale == nullptr ? nullptr : second_scale + scales};
  }
};

/// Weights after their move. `root` ≈ √S.
template <typename Weight>
HWY_INLINE Abreast moved(const Abreast& first, const Abreast& root, const StoredRates& rates,
                         const Weight* weight) {
  const Floats d;
  const Abreast before = each([&](int k) HWY_ATTR { return load_as(d, weight + k * kLanes); });
  const Abreast least = each([&](int k) HWY_ATTR {
    return hn::Mul(hn::Abs(first.v[k]), hn::Set(d, rates.root_of_smallest));
  });
  const Abreast step =
      each([&](int k) HWY_ATTR { return hn::Mul(hn::Set(d, rates.step_size), first.v[k]); });
  const Abreast used = each([&](int k) HWY_ATTR { return hn::Max(root.v[k], least.v[k]); });
  const Abreast below = each([&](int k) HWY_ATTR {
    return hn::MulAdd(used.v[k], hn::Set(d, rates.root), hn::Set(d, rates.epsilon));
  });
  const Abreast inverse =
      each([&](int k) HWY_ATTR { return hn::ApproximateReciprocal(below.v[k]); });
  return each([&](int k) HWY_ATTR { return hn::NegMulAdd(step.v[k], inverse.v[k], before.v[k]); });
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
HWY_INLINE void decay_block(const Block& block, int64_t element, const StoredRates& rates) {
  const Floats d;
  *block.second_scale = decayed(*block.second_scale, rates.beta2);
  if constexpr (kFirst) {
    *block.first_scale = decayed(*block.first_scale, rates.beta1);
    if (*block.first_scale == 0.0F) {
      return;
    }
    WordVector bits[kVectors];
    draw_bits(block_seed(rates.key, element), bits);
    const Vector first_unit = hn::Set(d, unit(block.first, block.first_scale) / rates.first_unit);
    const Vector second_unit =
        hn::Set(d, unit(block.second, block.second_scale) / rates.second_unit);
    CROSSLOOM_UNROLL
    for (int v = 0; v < kVectors; v += kAbreast) {
      const int64_t i = v * kLanes;
      const Abreast first = each([&](int k) HWY_ATTR {
        return hn::Mul(load_moment(block.first + i + k * kLanes), first_unit);
      });
      const Abreast second = each([&](int k) HWY_ATTR {
        return hn::MulAdd(load_moment(block.second + i + k * kLanes), second_unit,
                          hn::Set(d, rates.least_second));
      });
      const Abreast root = each([&](int k) HWY_ATTR { return hn::Sqrt(second.v[k]); });
      store_numbers(moved(first, root, rates, block.weight + i), Rounding(bits + v),
                    block.weight + i);
    }
  }
}

/// Blocks' new moments on their way from one pass to the next. In the first one weights move, in
/// the second one moments are stored: a block's largest is known by then, and its own blocks'
/// arithmetic fills the time until a core has found it.
constexpr int64_t kBlocksAtOnce = 4;
struct NewMoments {
  HWY_ALIGN float first[kBlocksAtOnce][kStateBlock];  // M
  HWY_ALIGN float root[kBlocksAtOnce][kStateBlock];   // √S
  HWY_ALIGN uint32_t bits[kBlocksAtOnce][kStateBlock];
  float largest_first[kBlocksAtOnce];
  float largest_root[kBlocksAtOnce];
  bool silent[kBlocksAtOnce];  // without gradient: stored already
};

template <bool kFirst, typename Block>
HWY_INLINE void move_block(const Block& block, int64_t element, const StoredRates& rates,
                           int64_t place, NewMoments& moments) {
  moments.silent[place] = sizeof(typename Block::Second) == 1 && is_zero(block.gradient);
  if (moments.silent[place]) {
    decay_block<kFirst>(block, element, rates);
    return;
  }
  const Floats d;
  WordVector bits[kVectors];
  draw_bits(block_seed(rates.key, element), bits);
  float* first_to = moments.first[place];
  float* root_to = moments.root[place];
  const Vector old_first =
      hn::Set(d, kFirst ? rates.old_first * unit(block.first, block.first_scale) : 0.0F);
  const Vector old_second = hn::Set(d, rates.old_second * unit(block.second, block.second_scale));
  Vector largest_first = hn::Zero(d);
  Vector largest_root = hn::Zero(d);
  CROSSLOOM_UNROLL
  for (int v = 0; v < kVectors; v += kAbreast) {
    const int64_t i = v * kLanes;
    const Abreast gradient =
        each([&](int k) HWY_ATTR { return hn::LoadU(d, block.gradient + i + k * kLanes); });
    const Abreast old = each([&](int k) HWY_ATTR {
      return hn::MulAdd(load_moment(block.second + i + k * kLanes), old_second,
                        hn::Set(d, rates.least_second));
    });
    const Abreast root = each([&](int k) HWY_ATTR {
      return hn::Sqrt(hn::MulAdd(gradient.v[k], gradient.v[k], old.v[k]));
    });
    Abreast first = gradient;
    if constexpr (kFirst) {
      first = each([&](int k) HWY_ATTR {
        return hn::MulAdd(load_moment(block.first + i + k * kLanes), old_first, gradient.v[k]);
      });
    }
    CROSSLOOM_UNROLL
    for (int k = 0; k < kAbreast; ++k) {
      if constexpr (kFirst) {
        hn::Store(first.v[k], d, first_to + i + k * kLanes);
        largest_first = hn::Max(largest_first, hn::Abs(first.v[k]));
      }
      hn::Store(root.v[k], d, root_to + i + k * kLanes);
      largest_root = hn::Max(largest_root, root.v[k]);
      hn::Store(bits[v + k], Words(), moments.bits[place] + i + k * kLanes);
    }
    store_numbers(moved(first, root, rates, block.weight + i), Rounding(bits + v),
                  block.weight + i);
  }
  moments.largest_first[place] = hn::GetLane(hn::MaxOfLanes(d, largest_first));
  moments.largest_root[place] = hn::GetLane(hn::MaxOfLanes(d, largest_root));
}

template <bool kFirst, typename Block>
HWY_INLINE void store_moments(const Block& block, const StoredRates& rates, int64_t place,
                              const NewMoments& moments) {
  if (moments.silent[place]) {
    return;
  }
  const Floats d;
  const float second_by = second_factor(rates.second_unit, moments.largest_root[place],
                                        block.second, block.second_scale);
  const float first_by = kFirst ? first_factor(rates.first_unit, moments.largest_first[place],
                                               block.first, block.first_scale)
                                : 0.0F;
  CROSSLOOM_UNROLL
  for (int v = 0; v < kVectors; v += kAbreast) {
    const int64_t i = v * kLanes;
    WordVector bits[kAbreast];
    CROSSLOOM_UNROLL
    for (int k = 0; k < kAbreast; ++k) {
      bits[k] = hn::Load(Words(), moments.bits[place] + i + k * kLanes);
    }
    const Rounding rounding(bits);
    const auto load = [&](const float* from) HWY_ATTR {
      return each([&](int k) HWY_ATTR { return hn::Load(d, from + i + k * kLanes); });
    };
    store_second(load(moments.root[place]), second_by, rounding, block.second + i);
    if constexpr (kFirst) {
      store_first(load(moments.first[place]), first_by, rounding, block.first + i);
    }
  }
}

/// `count` blocks that lie one after the other, at most kBlocksAtOnce.
template <bool kFirst, typename Block>
HWY_INLINE void update_blocks(const Block& block, int64_t count, int64_t element,
                              const StoredRates& rates) {
  NewMoments moments;
  for (int64_t b = 0; b < count; ++b) {
    move_block<kFirst>(block.after(b), element + b * kStateBlock, rates, b, moments);
  }
  for (int64_t b = 0; b < count; ++b) {
    store_moments<kFirst>(block.after(b), rates, b, moments);
  }
}

/// The last block of a row, where it has fewer elements: worked on in copies that zeros fill up.
template <bool kFirst, typename Block>
HWY_INLINE void update_part(const Block& block, int64_t count, int64_t element,
                            const StoredRates& rates) {
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
  update_blocks<kFirst>(
      Block{gradient, weight, first, second, block.first_scale, block.second_scale}, 1, element,
      rates);
  copy(weight, block.weight);
  copy(second, block.second);
  if constexpr (kFirst) {
    copy(first, block.first);
  }
}

template <bool kFirst, typename Weight, typename First, typename Second>
HWY_INLINE void update_stretch(const StoredStretch& stretch, const float* g, int64_t count,
                               int64_t element, const StoredRates& rates) {
  const Block<Weight, First, Second> begin{.gradient = g,
                                           .weight = static_cast<Weight*>(stretch.weights),
                                           .first = static_cast<First*>(stretch.first),
                                           .second = static_cast<Second*>(stretch.second),
                                           .first_scale = stretch.first_scales,
                                           .second_scale = stretch.second_scales};
  const int64_t whole = count / kStateBlock;
  for (int64_t b = 0; b < whole; b += kBlocksAtOnce) {
    update_blocks<kFirst>(begin.after(b), std::min(kBlocksAtOnce, whole - b),
                          element + b * kStateBlock, rates);
  }
  const int64_t done = whole * kStateBlock;
  if (done < count) {
    update_part<kFirst>(begin.after(whole), count - done, element + done, rates);
  }
}

template <typename Weight, typename First, typename Second>
HWY_INLINE void update_typed(const StoredStretch& stretch, const float* g, int64_t count,
                             int64_t element, const StoredRates& rates) {
  if (stretch.first != nullptr) {
    update_stretch<true, Weight, First, Second>(stretch, g, count, element, rates);
  } else {
    update_stretch<false, Weight, First, Second>(stretch, g, count, element, rates);
  }
}

template <typename Weight>
HWY_INLINE void update_weights(const StoredStretch& stretch, const float* g, int64_t count,
                               int64_t element, const StoredRates& rates) {
  switch (stretch.state_type) {
    case Stored::kFloat:
      return update_typed<Weight, float, float>(stretch, g, count, element, rates);
    case Stored::kHalf:
      return update_typed<Weight, bfloat16_t, bfloat16_t>(stretch, g, count, element, rates);
    case Stored::kByte:
      return update_typed<Weight, int8_t, uint8_t>(stretch, g, count, element, rates);
  }
}

void StoredStretchBody(const StoredStretch& stretch, const float* g, int64_t count, int64_t element,
                       const StoredRates& rates) {
  if (stretch.weight_type == Stored::kFloat) {
    update_weights<float>(stretch, g, count, element, rates);
  } else {
    update_weights<bfloat16_t>(stretch, g, count, element, rates);
  }
}

}  // namespace crossloom::trainer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace crossloom::trainer {

HWY_EXPORT(StoredStretchBody);

void adam_stored_stretch(const StoredStretch& stretch, const float* g, int64_t count,
                         int64_t element, const StoredRates& rates) {
  HWY_DYNAMIC_DISPATCH(StoredStretchBody)(stretch, g, count, element, rates);
}

StoredRates::StoredRates(const StoredCoefficients& c, bool has_first)
    : first_unit(has_first ? c.adam.scale * c.adam.rest1 : c.adam.scale),
      root_unit(c.adam.scale * std::sqrt(c.adam.rest2)),
      second_unit(root_unit * root_unit),
      beta1(c.adam.beta1),
      beta2(c.adam.beta2),
      old_first(beta1 / first_unit),
      old_second(beta2 / second_unit),
      least_second(kTiny / second_unit),
      step_size(c.adam.step_size * first_unit),
      root(c.adam.root * root_unit),
      epsilon(std::max(c.adam.epsilon, kTiny)),
      root_of_smallest(std::sqrt(c.smallest_second) * first_unit / root_unit),
      key(c.key) {
  CROSSLOOM_CHECK(c.adam.scale > 0.0F, "gradients count for {}", c.adam.scale);
}

double smallest_second(double beta1, double beta2) {
  const double decay = 1.0 - beta1 * beta1 / beta2;
  return decay > 0.0 ? (1.0 - beta2) * decay / ((1.0 - beta1) * (1.0 - beta1)) : 0.0;
}

}  // namespace crossloom::trainer
#endif
