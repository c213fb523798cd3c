// The legend, used in every file of the project:
//   T tokens in a batch   L layers   D model width   F features per layer
//   K kept per layer and token   P = L(L+1)/2 (source, target) pairs   R ranks
//   S positions of one prompt    V vocabulary   H heads   Dh head width
// and the two checks that go with it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <utility>

#include "common/error.h"

namespace crossloom {

/// Throws InternalError unless `tensor.sizes()` equals `shape`; -1 matches any extent.
/// A template, so that this header needs no LibTorch.
template <typename Tensor>
void check_shape(const Tensor& tensor, std::initializer_list<int64_t> shape, const char* name) {
  const auto sizes = tensor.sizes();
  const bool same = sizes.size() == shape.size() &&
                    std::equal(shape.begin(), shape.end(), sizes.begin(),
                               [](int64_t want, int64_t have) { return want < 0 || want == have; });
  CROSSLOOM_CHECK(same, "{} has shape [{}], expected [{}]", name,
                  fmt::join(sizes.begin(), sizes.end(), ", "), fmt::join(shape, ", "));
}

/// Integer conversion that throws InternalError instead of wrapping.
template <typename To, typename From>
To checked_cast(From value) {
  CROSSLOOM_CHECK(std::in_range<To>(value), "{} does not fit the target integer type", value);
  return static_cast<To>(value);
}

}  // namespace crossloom
