#include "trainer/adam.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

namespace crossloom::trainer {
namespace {

constexpr int64_t kElementsPerTask = 1 << 16;

template <typename Real>
struct Coefficients {
  Real scale, beta1, beta2, step_size, inverse_root_correction, epsilon;
};

template <typename Real>
void update_range(Real* __restrict w, const Real* __restrict g, Real* __restrict m,
                  Real* __restrict v, int64_t count, const Coefficients<Real>& c) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const Real gradient = g[i] * c.scale;
    m[i] = c.beta1 * m[i] + (Real(1) - c.beta1) * gradient;
    v[i] = c.beta2 * v[i] + (Real(1) - c.beta2) * gradient * gradient;
    w[i] -= c.step_size * m[i] / (std::sqrt(v[i]) * c.inverse_root_correction + c.epsilon);
  }
}

template <typename Real>
void update_all(const at::Tensor& weights, const at::Tensor& gradient, const at::Tensor& m,
                const at::Tensor& v, const Coefficients<Real>& c) {
  auto* w = weights.mutable_data_ptr<Real>();
  const auto* g = gradient.const_data_ptr<Real>();
  auto* first = m.mutable_data_ptr<Real>();
  auto* second = v.mutable_data_ptr<Real>();
  at::parallel_for(0, weights.numel(), kElementsPerTask, [&](int64_t begin, int64_t end) {
    update_range(w + begin, g + begin, first + begin, second + begin, end - begin, c);
  });
}

}  // namespace

Adam::Adam(AdamOptions options, int64_t count, at::ScalarType type)
    : options_(options),
      m_(at::zeros({count}, at::TensorOptions(type))),
      v_(at::zeros({count}, at::TensorOptions(type))) {}

void Adam::update(const at::Tensor& weights, const at::Tensor& gradient, int64_t begin,
                  int64_t step, double learning_rate, double gradient_scale) {
  const int64_t count = weights.size(0);
  check_shape(gradient, {count}, "gradient");
  CROSSLOOM_CHECK(begin >= 0 && begin + count <= m_.size(0), "elements [{}, {}) of {}", begin,
                  begin + count, m_.size(0));
  const double t = static_cast<double>(step);
  const double step_size = learning_rate / (1.0 - std::pow(options_.beta1, t));
  const double root = 1.0 / std::sqrt(1.0 - std::pow(options_.beta2, t));
  const auto run = [&]<typename Real>(Real) {
    update_all<Real>(weights, gradient, m_.narrow(0, begin, count), v_.narrow(0, begin, count),
                     {static_cast<Real>(gradient_scale), static_cast<Real>(options_.beta1),
                      static_cast<Real>(options_.beta2), static_cast<Real>(step_size),
                      static_cast<Real>(root), static_cast<Real>(options_.epsilon)});
  };
  if (weights.scalar_type() == at::kDouble) {
    run(0.0);
  } else {
    run(0.0F);
  }
}

}  // namespace crossloom::trainer
