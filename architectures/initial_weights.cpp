#include "architectures/initial_weights.h"

#include <ATen/Parallel.h>

#include <type_traits>

#include "architectures/kernels/dispatch.h"

namespace crossloom::architectures {

at::Tensor uniform_weights(at::IntArrayRef shape, at::ScalarType type, const Rng& rng,
                           double bound) {
  constexpr int64_t kElementGrain = 16384;
  at::Tensor weights = at::empty(shape, type);
  kernels::dispatch_stored(type, [&](auto real, auto stored) {
    using Real = decltype(real);
    constexpr bool kIsHalf = !std::is_same_v<Real, decltype(stored)>;
    using Stored = std::conditional_t<kIsHalf, c10::BFloat16, Real>;
    Stored* data = weights.mutable_data_ptr<Stored>();
    at::parallel_for(0, weights.numel(), kElementGrain, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const double unit = rng.uniform_double(static_cast<uint64_t>(i));  // [0, 1)
        data[i] = static_cast<Stored>(static_cast<Real>(bound * (2.0 * unit - 1.0)));
      }
    });
  });
  return weights;
}

}  // namespace crossloom::architectures
