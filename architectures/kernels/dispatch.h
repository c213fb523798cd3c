// From a tensor's scalar type to a C++ type: float32 and float64 are the types of this room.
#pragma once

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

}  // namespace crossloom::architectures::kernels
