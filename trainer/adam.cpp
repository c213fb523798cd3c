#include "trainer/adam.h"

#include <cmath>

namespace crossloom::trainer {

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

Moments::Moments(const Range& owned, at::ScalarType type)
    : own(owned),
      first(at::zeros({owned.count()}, at::TensorOptions(type))),
      second(at::zeros({owned.count()}, at::TensorOptions(type))) {}

}  // namespace crossloom::trainer
