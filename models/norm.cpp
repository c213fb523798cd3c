#include "models/norm.h"

#include <ATen/Parallel.h>

#include <cmath>

namespace crossloom::models {
namespace {

constexpr int64_t kRowsPerTask = 16;

/// One row: sum of squares in `Real`, then scale and gain; `Gain` is the output type.
template <typename Real, typename Gain>
void norm_row(const Real* __restrict x, const Gain* __restrict gain, Gain* __restrict out,
              int64_t width, Real epsilon) {
  Real squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t d = 0; d < width; ++d) {
    squares += x[d] * x[d];
  }
  const Real inverse = Real(1) / std::sqrt(squares / static_cast<Real>(width) + epsilon);
  for (int64_t d = 0; d < width; ++d) {
    // Rounded to the gain's type before the product, as the reference does.
    out[d] = static_cast<Gain>(static_cast<Gain>(x[d] * inverse) * gain[d]);
  }
}

template <typename Real, typename Gain>
at::Tensor norm_rows(const at::Tensor& x, const at::Tensor& gain, double epsilon) {
  const int64_t width = x.size(1);
  at::Tensor out = at::empty(x.sizes(), gain.options());
  const auto* from = x.const_data_ptr<Real>();
  const auto* gains = gain.const_data_ptr<Gain>();
  auto* to = out.mutable_data_ptr<Gain>();
  at::parallel_for(0, x.size(0), kRowsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      norm_row(from + row * width, gains, to + row * width, width, static_cast<Real>(epsilon));
    }
  });
  return out;
}

}  // namespace

at::Tensor rms_scale(const at::Tensor& x, double epsilon) {
  return x.square().mean(-1, /*keepdim=*/true).add(epsilon).sqrt();
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& gain, double epsilon) {
  check_shape(x, {-1, gain.size(0)}, "x");
  const at::Tensor rows = x.contiguous();
  if (rows.scalar_type() == at::kDouble) {
    return norm_rows<double, double>(rows, gain, epsilon);
  }
  return gain.scalar_type() == at::kBFloat16 ? norm_rows<float, at::BFloat16>(rows, gain, epsilon)
                                             : norm_rows<float, float>(rows, gain, epsilon);
}

}  // namespace crossloom::models
