// Element-wise reduction in memory, shared by the back ends that add by themselves.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/communicator.h"

namespace crossloom::detail {

template <typename T>
void reduce_into(T* into, const T* from, int64_t count, ReduceOp op) {
  for (int64_t i = 0; i < count; ++i) {
    switch (op) {
      case ReduceOp::kSum:
        into[i] = static_cast<T>(into[i] + from[i]);
        break;
      case ReduceOp::kMax:
        into[i] = std::max(into[i], from[i]);
        break;
      case ReduceOp::kMin:
        into[i] = std::min(into[i], from[i]);
        break;
    }
  }
}

/// Calls `f(T*)` with the C++ type of `type`; InternalError for types no collective supports.
template <typename F>
void with_element_type(DType type, F&& f) {
  switch (type) {
    case DType::kF64:
      return f(static_cast<double*>(nullptr));
    case DType::kF32:
      return f(static_cast<float*>(nullptr));
    case DType::kI64:
      return f(static_cast<int64_t*>(nullptr));
    case DType::kU64:
      return f(static_cast<uint64_t*>(nullptr));
    case DType::kI32:
      return f(static_cast<int32_t*>(nullptr));
    default:
      CROSSLOOM_CHECK(false, "no reduction for elements of type {}", dtype_info(type).name);
  }
}

/// InternalError unless collectives can reduce elements of `type`.
inline void require_reducible(DType type) {
  if (type != DType::kBF16) {
    with_element_type(type, [](auto*) {});
  }
}

}  // namespace crossloom::detail
