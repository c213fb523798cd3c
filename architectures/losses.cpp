#include "architectures/losses.h"

#include <ATen/Parallel.h>

#include <vector>

#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/reductions.h"
#include "architectures/kernels/row_sums.h"
#include "common/options.h"

namespace crossloom::architectures {
namespace {

constexpr int64_t kTokenGrain = 64;  // tokens a thread takes at least

/// Σ over tokens of `row_energy(t)`, a double: rows in parallel, their sums added in token order,
/// so that the result does not depend on the thread count.
template <typename RowEnergy>
double sum_over_tokens(int64_t tokens, RowEnergy&& row_energy) {
  std::vector<double> row_sums(static_cast<size_t>(tokens));
  at::parallel_for(0, tokens, kTokenGrain, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; ++t) {
      row_sums[static_cast<size_t>(t)] = row_energy(t);
    }
  });
  double total = 0.0;
  for (const double row_sum : row_sums) {
    total += row_sum;
  }
  return total;
}

}  // namespace

at::Tensor target_sum(const at::Tensor& y) {
  return kernels::column_sums(y);
}

double centred_energy(const at::Tensor& y, const at::Tensor& mean) {
  check_shape(y, {-1, -1}, "y");
  check_shape(mean, {y.size(1)}, "mean");
  CROSSLOOM_CHECK(mean.scalar_type() == at::kDouble, "the mean must be float64");
  CROSSLOOM_CHECK(y.stride(1) == 1 && mean.is_contiguous(), "columns must be contiguous");
  const auto* centre = mean.const_data_ptr<double>();
  double energy = 0.0;
  kernels::dispatch_real(y.scalar_type(), [&](auto real) {
    using Real = decltype(real);
    energy = sum_over_tokens(y.size(0), [&](int64_t t) {
      return kernels::squared_deviation(y.const_data_ptr<Real>() + t * y.stride(0), centre,
                                        y.size(1));
    });
  });
  return energy;
}

double loss_denominator(const std::string& convention, double energy, int64_t tokens,
                        int64_t width) {
  require_one_of("reconstruction", convention, {"fvu", "token_sum", "element_mean"});
  if (convention == "fvu") {
    return energy;
  }
  return static_cast<double>(convention == "token_sum" ? tokens : tokens * width);
}

double squared_error_backward(const at::Tensor& y, const at::Tensor& y_hat, double denominator,
                              at::Tensor& y_hat_grad) {
  check_shape(y, {-1, -1}, "y");
  check_shape(y_hat, {y.size(0), y.size(1)}, "y_hat");
  CROSSLOOM_CHECK(y.scalar_type() == y_hat.scalar_type(), "y and y_hat must have one scalar type");
  CROSSLOOM_CHECK(y.stride(1) == 1 && y_hat.stride(1) == 1, "columns must be contiguous");
  if (!(denominator > 0.0)) {  // also NaN
    throw DataError({.what = "the targets of a layer do not vary over the batch",
                     .expected = "a positive centred energy",
                     .got = fmt::format("{}", denominator),
                     .where = "loss",
                     .hint = "harvest again, or check that the batch has more than one token"});
  }
  if (!y_hat_grad.defined() || y_hat_grad.sizes() != y_hat.sizes() ||
      y_hat_grad.scalar_type() != y_hat.scalar_type()) {
    y_hat_grad = at::empty(y_hat.sizes(), y_hat.options());
  }
  double squared_error = 0.0;
  kernels::dispatch_real(y.scalar_type(), [&](auto real) {
    using Real = decltype(real);
    squared_error = sum_over_tokens(y.size(0), [&](int64_t t) {
      return kernels::squared_error(y_hat.const_data_ptr<Real>() + t * y_hat.stride(0),
                                    y.const_data_ptr<Real>() + t * y.stride(0), 2.0 / denominator,
                                    y.size(1),
                                    y_hat_grad.mutable_data_ptr<Real>() + t * y_hat_grad.stride(0));
    });
  });
  return squared_error;
}

}  // namespace crossloom::architectures
