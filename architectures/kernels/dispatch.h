// From a tensor's scalar type to C++ types. What is computed with is float32 or float64; weight
// matrices may be stored in bfloat16 and are then computed with in float32.
#pragma once

#include "architectures/kernels/row_kernels.h"
#include "common/tensor.h"

namespace crossloom::architectures::kernels {

/// Calls `function(Real{})` with Real = float or double. Throws InternalError for other types.
template <typename Function>
void dispatch_real(at::ScalarType type, Function&& function) {
  CROSSLOOM_CHECK(type == at::kFloat || type == at::kDouble,
                  "transcoder tensors are float32 or float64, got {}", at::toString(type));
  if (type == at::kFloat) {
    function(float{});
  } else {
    function(double{});
  }
}

/// Calls `function(Real{}, Stored{})` for weights stored as float32, bfloat16 (Real = float) or
/// float64. Throws InternalError for other types.
template <typename Function>
void dispatch_stored(at::ScalarType type, Function&& function) {
  if (type == at::kBFloat16) {
    function(float{}, bfloat16_t{});
  } else {
    dispatch_real(type, [&](auto real) { function(real, real); });
  }
}

/// The elements of a tensor that dispatch_stored named the type of.
template <typename Stored>
const Stored* stored_data(const at::Tensor& tensor) {
  return static_cast<const Stored*>(tensor.const_data_ptr());
}

}  // namespace crossloom::architectures::kernels
