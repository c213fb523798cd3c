#include "architectures/losses.h"

#include "architectures/dispatch.h"

namespace crossloom::architectures {

at::Tensor target_sum(const at::Tensor& y) {
  check_shape(y, {-1, -1}, "y");
  return y.sum(0, /*keepdim=*/false, at::kDouble);
}

double centred_energy(const at::Tensor& y, const at::Tensor& mean) {
  check_shape(mean, {y.size(1)}, "mean");
  const at::Tensor rows = y.contiguous();
  const auto* m = mean.const_data_ptr<double>();
  return dispatch_real(y.scalar_type(), [&]<typename Real>(Real) {
    const auto* values = rows.const_data_ptr<Real>();
    double energy = 0.0;
    for (int64_t t = 0; t < rows.size(0); ++t) {
      double row = 0.0;
#pragma omp simd reduction(+ : row)
      for (int64_t d = 0; d < rows.size(1); ++d) {
        const double centred = static_cast<double>(values[t * rows.size(1) + d]) - m[d];
        row += centred * centred;
      }
      energy += row;
    }
    return energy;
  });
}

double fvu_backward(const at::Tensor& y, const at::Tensor& y_hat, double energy,
                    at::Tensor& y_hat_grad) {
  check_shape(y_hat, {y.size(0), y.size(1)}, "y_hat");
  check_shape(y_hat_grad, {y.size(0), y.size(1)}, "y_hat_grad");
  const at::Tensor target = y.contiguous();
  return dispatch_real(y.scalar_type(), [&]<typename Real>(Real) {
    const auto* want = target.const_data_ptr<Real>();
    const auto* have = y_hat.const_data_ptr<Real>();
    auto* gradient = y_hat_grad.mutable_data_ptr<Real>();
    const Real factor = static_cast<Real>(-2.0 / energy);
    const int64_t width = y.size(1);
    double squared = 0.0;
    for (int64_t t = 0; t < y.size(0); ++t) {
      double row = 0.0;
#pragma omp simd reduction(+ : row)
      for (int64_t i = t * width; i < (t + 1) * width; ++i) {
        const Real difference = want[i] - have[i];
        gradient[i] = factor * difference;
        row += static_cast<double>(difference) * static_cast<double>(difference);
      }
      squared += row;
    }
    return squared;
  });
}

}  // namespace crossloom::architectures
