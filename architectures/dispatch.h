// The scalar types of transcoder arithmetic: float32 and float64.
#pragma once

#include "common/tensor.h"

namespace crossloom::architectures {

/// Calls f(Real{}) with the C++ type of `type`. Throws InternalError for other types.
template <typename F>
auto dispatch_real(at::ScalarType type, F&& f) {
  CROSSLOOM_CHECK(type == at::kFloat || type == at::kDouble,
                  "transcoders compute in float32 or float64");
  return type == at::kDouble ? f(double{}) : f(float{});
}

}  // namespace crossloom::architectures
