// Compiled once per instruction set by Highway (foreach_target), which also chooses at run time.
#include "architectures/kernels/screen.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "architectures/kernels/screen.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <functional>

HWY_BEFORE_NAMESPACE();
namespace crossloom::architectures::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;

constexpr float kProductRounding = 0x1p-8F;
constexpr float kSumRounding = 0x1p-22F;  // of s + b, and of whoever computes h in float32
constexpr float kSlack = 1.0001F;         // the bound's own float32 arithmetic

/// bfloat16 [lanes] → float32.
HWY_INLINE Vector widen(const uint16_t* from) {
  const Floats d;
  const hn::Rebind<uint16_t, Floats> half;
  const hn::RebindToUnsigned<Floats> word;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(word, hn::LoadU(half, from))));
}

/// Calls body(first, is_new) on vectors that cover [0, count), count ≥ lanes: the last one begins
/// early enough to fit, and its mask leaves out what the one before held.
template <typename Body>
HWY_INLINE void for_vectors(int64_t count, Body&& body) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    body(i, hn::FirstN(d, static_cast<size_t>(lanes)));
  }
  if (i < count) {
    body(count - lanes, hn::Not(hn::FirstN(d, static_cast<size_t>(lanes - (count - i)))));
  }
}

struct Bounds {
  Vector centre;
  Vector radius;
};

HWY_INLINE Bounds bounds(const ScreenRow& row, int64_t i) {
  const Floats d;
  const Vector product = widen(row.products + i);
  const Vector bias = hn::LoadU(d, row.bias + i);
  Vector radius = hn::Mul(hn::Abs(product), hn::Set(d, kProductRounding));
  radius = hn::MulAdd(hn::Abs(bias), hn::Set(d, kSumRounding), radius);
  radius = hn::MulAdd(hn::LoadU(d, row.norms + i), hn::Set(d, row.input_error), radius);
  radius = hn::MulAdd(hn::LoadU(d, row.error_norms + i), hn::Set(d, row.input_norm), radius);
  return {hn::Add(product, bias), hn::Mul(radius, hn::Set(d, kSlack))};
}

RowSquares RoundRowBody(const float* from, int64_t width, uint16_t* to) {
  const Floats d;
  const hn::Rebind<uint16_t, Floats> half;
  const hn::RebindToUnsigned<Floats> word;
  Vector whole = hn::Zero(d);
  Vector rounded = hn::Zero(d);
  Vector error = hn::Zero(d);
  for_vectors(width, [&](int64_t i, auto is_new) {
    const Vector value = hn::LoadU(d, from + i);
    const auto bits = hn::BitCast(word, value);
    const auto is_odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(word, 1U));
    const auto top = hn::ShiftRight<16>(hn::Add(bits, hn::Add(is_odd, hn::Set(word, 0x7FFFU))));
    hn::StoreU(hn::TruncateTo(half, top), half, to + i);
    const Vector near = hn::IfThenElseZero(is_new, hn::BitCast(d, hn::ShiftLeft<16>(top)));
    const Vector exact = hn::IfThenElseZero(is_new, value);
    const Vector gap = hn::Sub(exact, near);
    whole = hn::MulAdd(exact, exact, whole);
    rounded = hn::MulAdd(near, near, rounded);
    error = hn::MulAdd(gap, gap, error);
  });
  return {hn::GetLane(hn::SumOfLanes(d, whole)), hn::GetLane(hn::SumOfLanes(d, rounded)),
          hn::GetLane(hn::SumOfLanes(d, error))};
}

float RowSquareBody(const uint16_t* row, int64_t width) {
  Vector sum = hn::Zero(Floats());
  for_vectors(width, [&](int64_t i, auto is_new) {
    const Vector value = hn::IfThenElseZero(is_new, widen(row + i));
    sum = hn::MulAdd(value, value, sum);
  });
  return hn::GetLane(hn::SumOfLanes(Floats(), sum));
}

/// Keeps the `kept` largest of best[0, size) in front; returns the smallest of these.
float shrink(std::vector<float>& best, int64_t size, int64_t kept) {
  std::nth_element(best.begin(), best.begin() + (kept - 1), best.begin() + size,
                   std::greater<float>());
  return best[static_cast<size_t>(kept - 1)];
}

/// The `kept`-th largest positive lower bound, 0 where fewer are positive.
float kth_lower_bound(const ScreenRow& row, int64_t kept, std::vector<float>& best) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t room = 4 * kept + lanes;
  if (static_cast<int64_t>(best.size()) < room + lanes) {
    best.resize(static_cast<size_t>(room + lanes));
  }
  int64_t size = 0;
  float bar = 0.0F;
  for_vectors(row.count, [&](int64_t i, auto is_new) {
    const Bounds entry = bounds(row, i);
    const Vector lower = hn::Sub(entry.centre, entry.radius);
    const auto above = hn::And(hn::Gt(lower, hn::Set(d, bar)), is_new);
    if (!hn::AllFalse(d, above)) {
      size += static_cast<int64_t>(hn::CompressStore(lower, above, d, best.data() + size));
      if (size >= room) {
        bar = shrink(best, size, kept);
        size = kept;
      }
    }
  });
  return size >= kept ? shrink(best, size, kept) : 0.0F;
}

int64_t ScreenRowBody(const ScreenRow& row, int64_t kept, std::vector<float>& scratch,
                      int32_t* places) {
  const Floats d;
  const hn::RebindToSigned<Floats> place_tag;
  const Vector bar = hn::Set(d, kth_lower_bound(row, kept, scratch));
  int64_t size = 0;
  for_vectors(row.count, [&](int64_t i, auto is_new) {
    const Bounds entry = bounds(row, i);
    const Vector upper = hn::Add(entry.centre, entry.radius);
    const auto in = hn::And(hn::And(hn::Ge(upper, bar), hn::Gt(upper, hn::Zero(d))), is_new);
    if (!hn::AllFalse(d, in)) {
      const auto numbers = hn::Iota(place_tag, static_cast<int32_t>(i));
      size += static_cast<int64_t>(
          hn::CompressStore(numbers, hn::RebindMask(place_tag, in), place_tag, places + size));
    }
  });
  return size;
}

}  // namespace crossloom::architectures::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace crossloom::architectures::kernels {

HWY_EXPORT(RoundRowBody);
HWY_EXPORT(RowSquareBody);
HWY_EXPORT(ScreenRowBody);

float row_square(const uint16_t* row, int64_t width) {
  return HWY_DYNAMIC_DISPATCH(RowSquareBody)(row, width);
}

RowSquares round_row(const float* from, int64_t width, uint16_t* to) {
  return HWY_DYNAMIC_DISPATCH(RoundRowBody)(from, width, to);
}

int64_t screen_row(const ScreenRow& row, int64_t kept, std::vector<float>& scratch,
                   int32_t* places) {
  return HWY_DYNAMIC_DISPATCH(ScreenRowBody)(row, kept, scratch, places);
}

}  // namespace crossloom::architectures::kernels
#endif
