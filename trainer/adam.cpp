#include "trainer/adam.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "architectures/kernels/dispatch.h"

namespace crossloom::trainer {
namespace {

constexpr int64_t kElementsPerTask = 1 << 16;

template <typename Real>
void update_all(const at::Tensor& weights, const at::Tensor& gradient, const at::Tensor& m,
                const at::Tensor& v, const AdamCoefficients<Real>& c) {
  auto* w = weights.mutable_data_ptr<Real>();
  const auto* g = gradient.const_data_ptr<Real>();
  auto* first = m.mutable_data_ptr<Real>();
  auto* second = v.mutable_data_ptr<Real>();
  at::parallel_for(0, weights.numel(), kElementsPerTask, [&](int64_t begin, int64_t end) {
    adam_stretch(w + begin, g + begin, first + begin, second + begin, end - begin, c);
  });
}

}  // namespace

template <typename Real>
AdamCoefficients<Real> adam_coefficients(const AdamOptions& options, int64_t step,
                                         double learning_rate, double gradient_scale) {
  const double t = static_cast<double>(step);
  return {.scale = static_cast<Real>(gradient_scale),
          .beta1 = static_cast<Real>(options.beta1),
          .rest1 = static_cast<Real>(1.0 - options.beta1),
          .beta2 = static_cast<Real>(options.beta2),
          .rest2 = static_cast<Real>(1.0 - options.beta2),
          .step_size = static_cast<Real>(learning_rate / (1.0 - std::pow(options.beta1, t))),
          .root = static_cast<Real>(1.0 / std::sqrt(1.0 - std::pow(options.beta2, t))),
          .epsilon = static_cast<Real>(options.epsilon)};
}

template AdamCoefficients<float> adam_coefficients(const AdamOptions&, int64_t, double, double);
template AdamCoefficients<double> adam_coefficients(const AdamOptions&, int64_t, double, double);

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
  architectures::kernels::dispatch_real(weights.scalar_type(), [&](auto real) {
    update_all(weights, gradient, m_.narrow(0, begin, count), v_.narrow(0, begin, count),
               adam_coefficients<decltype(real)>(options_, step, learning_rate, gradient_scale));
  });
}

}  // namespace crossloom::trainer
