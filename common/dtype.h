// Element types of files and collectives, with the conversions that need no LibTorch.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>

namespace crossloom {

enum class DType : uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kI64,
  kI32,
  kU8,
  kBool,
  kU32,
  kU64,
  kI16,
  kI8
};

struct DTypeInfo {
  DType type;
  const char* name;  // as in a safetensors header
  int64_t size_bytes;
};

inline constexpr DTypeInfo kDTypes[] = {
    {DType::kF64, "F64", 8},   {DType::kF32, "F32", 4},   {DType::kF16, "F16", 2},
    {DType::kBF16, "BF16", 2}, {DType::kI64, "I64", 8},   {DType::kI32, "I32", 4},
    {DType::kU8, "U8", 1},     {DType::kBool, "BOOL", 1}, {DType::kU32, "U32", 4},
    {DType::kU64, "U64", 8},   {DType::kI16, "I16", 2},   {DType::kI8, "I8", 1}};

constexpr const DTypeInfo& dtype_info(DType type) {
  return kDTypes[static_cast<size_t>(type)];
}

constexpr std::optional<DType> dtype_from_name(std::string_view name) {
  for (const auto& info : kDTypes) {
    if (name == info.name) {
      return info.type;
    }
  }
  return std::nullopt;
}

inline float bf16_to_float(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// Round to nearest even; NaN stays NaN.
inline uint16_t float_to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) {
    return static_cast<uint16_t>((bits >> 16) | 0x0040U);
  }
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

}  // namespace crossloom
