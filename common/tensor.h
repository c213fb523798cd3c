// The one door to LibTorch's tensors (precompiled once, see cmake/). Nothing else in common/ needs
// it: link crossloom_tensor to use it.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <span>
#include <string>

#include "common/dtype.h"
#include "common/shapes.h"

namespace crossloom {

inline at::ScalarType scalar_type(DType type) {
  switch (type) {
    case DType::kF64:
      return at::kDouble;
    case DType::kF32:
      return at::kFloat;
    case DType::kF16:
      return at::kHalf;
    case DType::kBF16:
      return at::kBFloat16;
    case DType::kI64:
      return at::kLong;
    case DType::kI32:
      return at::kInt;
    case DType::kI16:
      return at::kShort;
    case DType::kI8:
      return at::kChar;
    case DType::kU8:
      return at::kByte;
    case DType::kBool:
      return at::kBool;
    default:
      CROSSLOOM_CHECK(false, "LibTorch has no type for {}", dtype_info(type).name);
  }
}

inline DType dtype_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kDouble:
      return DType::kF64;
    case at::kFloat:
      return DType::kF32;
    case at::kHalf:
      return DType::kF16;
    case at::kBFloat16:
      return DType::kBF16;
    case at::kLong:
      return DType::kI64;
    case at::kInt:
      return DType::kI32;
    case at::kChar:
      return DType::kI8;
    case at::kByte:
      return DType::kU8;
    default:
      CROSSLOOM_CHECK(false, "no file type for this tensor type");
  }
}

/// "float32", "bfloat16", "float64" → type; throws ConfigError naming `key` otherwise.
at::ScalarType compute_type(const char* key, const std::string& name);

/// The raw bytes of a contiguous CPU tensor.
inline std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  CROSSLOOM_CHECK(tensor.is_contiguous() && tensor.is_cpu(), "bytes_of needs a contiguous tensor");
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

}  // namespace crossloom
