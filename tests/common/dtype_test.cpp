#include "common/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace crossloom {
namespace {

TEST(DType, TableIsIndexedByItsEnum) {
  for (const DTypeInfo& info : kDTypes) {
    EXPECT_EQ(dtype_info(info.type).name, info.name);
    EXPECT_EQ(dtype_from_name(info.name), info.type);
  }
  EXPECT_EQ(dtype_from_name("F8"), std::nullopt);
  EXPECT_EQ(dtype_from_name(""), std::nullopt);
  EXPECT_EQ(dtype_info(DType::kBF16).size_bytes, 2);
}

TEST(Bf16, EveryPatternSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const auto pattern = static_cast<uint16_t>(bits);
    const float value = bf16_to_float(pattern);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(value))));
    } else {
      EXPECT_EQ(float_to_bf16(value), pattern);
    }
  }
}

/// The slow obvious version: the nearer of the two neighbours, the even one when halfway.
uint16_t nearest_even(float value) {
  const auto low = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);  // towards zero
  const auto high = static_cast<uint16_t>(low + 1);
  const double below = std::abs(double(value) - double(bf16_to_float(low)));
  // Beyond the largest finite number the next step counts as 2^128.
  const double next = (high & 0x7FFF) == 0x7F80 ? 0x1p128 : std::abs(double(bf16_to_float(high)));
  const double above = std::abs(next - std::abs(double(value)));
  return below < above || (below == above && low % 2 == 0) ? low : high;
}

TEST(Bf16, RoundsToNearestEven) {
  EXPECT_EQ(float_to_bf16(1.0F), 0x3F80);
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3F808000U)), 0x3F80);  // halfway: down to even
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3F818000U)), 0x3F82);  // halfway: up to even
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3F808001U)), 0x3F81);
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7F80);  // to infinity
  EXPECT_EQ(float_to_bf16(-std::numeric_limits<float>::infinity()), 0xFF80);
  uint32_t state = 1;
  for (int i = 0; i < 200'000; ++i) {
    state = state * 1664525U + 1013904223U;
    const float value = std::bit_cast<float>(state ^ (state >> 9));
    if (std::isfinite(value)) {
      ASSERT_EQ(float_to_bf16(value), nearest_even(value)) << value;
    }
  }
}

TEST(Bf16, NanStaysNan) {
  // A NaN whose payload lies in the dropped bits must not become infinity.
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0x7F800001U)))));
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0xFFFFFFFFU)))));
}

}  // namespace
}  // namespace crossloom
