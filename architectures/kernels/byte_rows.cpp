// Compiled once per instruction set by Highway (foreach_target), which also chooses at run time.
#include "architectures/kernels/byte_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "architectures/kernels/byte_rows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "architectures/kernels/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace crossloom::architectures::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using crossloom::HWY_NAMESPACE::for_vectors;
using crossloom::HWY_NAMESPACE::load_as;
using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;

constexpr float kLargestByte = 127.0F;

/// values ← v; the row's whole, product and step.
template <typename Stored>
HWY_INLINE ByteRow framed(const Stored* row, const RowGrid& grid, int64_t width, float* values) {
  const Floats d;
  Vector largest = hn::Zero(d);
  Vector whole = hn::Zero(d);
  Vector product = hn::Zero(d);
  for_vectors(width, [&](int64_t i, auto is_new) {
    const Vector shifted = hn::Sub(load_as(d, row + i), hn::LoadU(d, grid.centre + i));
    const Vector value = hn::Mul(shifted, hn::LoadU(d, grid.scale + i));
    hn::StoreU(value, d, values + i);
    largest = hn::Max(largest, hn::Abs(value));
    const Vector counted = hn::IfThenElseZero(is_new, value);
    whole = hn::MulAdd(counted, counted, whole);
    product = hn::MulAdd(counted, hn::LoadU(d, grid.direction + i), product);
  });
  return {.step = hn::GetLane(hn::MaxOfLanes(d, largest)) / kLargestByte,
          .whole = hn::GetLane(hn::SumOfLanes(d, whole)),
          .near = 0.0F,
          .error = 0.0F,
          .product = hn::GetLane(hn::SumOfLanes(d, product))};
}

template <typename Stored>
HWY_INLINE ByteRow to_bytes(const Stored* row, const RowGrid& grid, int64_t width, float* values,
                            int8_t* to) {
  const Floats d;
  const hn::Rebind<int8_t, Floats> bytes;
  ByteRow result = framed(row, grid, width, values);
  const Vector step = hn::Set(d, result.step);
  const Vector inverse = hn::Set(d, result.step > 0.0F ? 1.0F / result.step : 0.0F);
  Vector near_sum = hn::Zero(d);
  Vector error_sum = hn::Zero(d);
  for_vectors(width, [&](int64_t i, auto is_new) {
    const Vector value = hn::LoadU(d, values + i);
    const auto byte = hn::DemoteTo(bytes, hn::NearestInt(hn::Mul(value, inverse)));
    hn::StoreU(byte, bytes, to + i);
    const Vector whole = hn::ConvertTo(d, hn::PromoteTo(hn::RebindToSigned<Floats>(), byte));
    const Vector near = hn::IfThenElseZero(is_new, hn::Mul(whole, step));
    const Vector error = hn::Sub(hn::IfThenElseZero(is_new, value), near);
    near_sum = hn::MulAdd(near, near, near_sum);
    error_sum = hn::MulAdd(error, error, error_sum);
  });
  result.near = hn::GetLane(hn::SumOfLanes(d, near_sum));
  result.error = hn::GetLane(hn::SumOfLanes(d, error_sum));
  return result;
}

ByteRow FloatsToBytes(const float* row, const RowGrid& grid, int64_t width, float* values,
                      int8_t* to) {
  return to_bytes(row, grid, width, values, to);
}
ByteRow HalvesToBytes(const hwy::bfloat16_t* row, const RowGrid& grid, int64_t width, float* values,
                      int8_t* to) {
  return to_bytes(row, grid, width, values, to);
}

}  // namespace crossloom::architectures::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace crossloom::architectures::kernels {

HWY_EXPORT(FloatsToBytes);
HWY_EXPORT(HalvesToBytes);

ByteRow row_to_bytes(const float* row, const RowGrid& grid, int64_t width, float* values,
                     int8_t* to) {
  return HWY_DYNAMIC_DISPATCH(FloatsToBytes)(row, grid, width, values, to);
}

ByteRow row_to_bytes(const hwy::bfloat16_t* row, const RowGrid& grid, int64_t width, float* values,
                     int8_t* to) {
  return HWY_DYNAMIC_DISPATCH(HalvesToBytes)(row, grid, width, values, to);
}

}  // namespace crossloom::architectures::kernels
#endif
