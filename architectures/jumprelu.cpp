#include "architectures/jumprelu.h"

#include <cmath>

#include "architectures/kernels/feature_lists.h"
#include "architectures/row_selection.h"

namespace crossloom::architectures {

JumpRelu::JumpRelu(const JumpReluOptions& options, const TranscoderShape& shape,
                   at::ScalarType type)
    : bandwidth_(options.bandwidth),
      initial_threshold_(options.threshold),
      gradient_of_pre_(options.threshold_gradient == "pre"),
      input_gradient_(options.input_gradient == "masked"     ? InputGradient::kMasked
                      : options.input_gradient == "positive" ? InputGradient::kPositive
                                                             : InputGradient::kAll),
      features_(shape.features) {
  require_positive("jumprelu.threshold", options.threshold);
  require_positive("jumprelu.bandwidth", options.bandwidth);
  require_one_of("jumprelu.threshold_gradient", options.threshold_gradient, {"theta", "pre"});
  require_one_of("jumprelu.input_gradient", options.input_gradient, {"masked", "positive", "all"});
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    parameters_.push_back({fmt::format("log_threshold_{}", layer),
                           at::full({shape.features}, std::log(options.threshold), type),
                           ShardRule::kLayerFeature, Training::kThreshold});
  }
}

at::Tensor JumpRelu::thresholds(int64_t layer) const {
  return parameters_.at(static_cast<size_t>(layer)).value.exp();
}

Candidates JumpRelu::propose(int64_t layer, const at::Tensor& h, int64_t first_feature,
                             Watch watch) const {
  check_shape(h, {-1, -1}, "h");
  const at::Tensor rows = h.contiguous();
  check_finite(layer, rows, first_feature);
  const at::Tensor theta = thresholds(layer).narrow(0, first_feature, h.size(1)).contiguous();
  const bool watching = watch == Watch::kGradients;
  Candidates candidates;
  kernels::dispatch_real(h.scalar_type(), [&](auto real) {
    using Real = decltype(real);
    const Real* bar = theta.const_data_ptr<Real>();
    const auto half = static_cast<Real>(0.5 * bandwidth_);
    const bool all = watching && input_gradient_ == InputGradient::kAll;
    const bool positive = watching && input_gradient_ == InputGradient::kPositive;
    candidates = gather_rows<Real>(
        rows, first_feature, /*with_pre=*/true,
        [&](Real value, int64_t i) {
          // Single | and &: no branches, so that the compiler takes several entries at once.
          return (value > bar[i]) | all | (positive & (value >= Real{0})) |
                 (watching & (std::abs(value - bar[i]) < half));
        },
        [&](Real value, int64_t i) { return value > bar[i] ? value : Real{0}; });
  });
  return candidates;
}

at::Tensor JumpRelu::backward(int64_t layer, const LayerCodes& codes, const at::Tensor& value_grad,
                              const at::Tensor& silent_grad, ParameterSink& sink) const {
  const auto number = static_cast<size_t>(layer);
  const at::Tensor theta = thresholds(layer).index_select(0, codes.index);  // [nnz]
  const at::Tensor in_band = (codes.pre - theta).abs().lt(0.5 * bandwidth_);
  const at::Tensor height = gradient_of_pre_ ? codes.pre : theta;
  const at::Tensor log_grad =  // ∂/∂t = θ ∂/∂θ
      (theta * height * value_grad * in_band).div_(-bandwidth_);
  kernels::add_weight_sums(codes, log_grad, sink.gradient(number));
  if (silent_grad.defined()) {
    const at::Tensor silent = codes.tokens() - active_counts(codes, features_);
    sink.gradient(number).sub_(thresholds(layer) * silent_grad * silent);
  }
  sink.finished(number);
  switch (input_gradient_) {
    case InputGradient::kMasked:
      return value_grad * codes.value.gt(0);
    case InputGradient::kPositive:
      return value_grad * codes.pre.ge(0);
    case InputGradient::kAll:
      return value_grad;
  }
  CROSSLOOM_CHECK(false, "unknown input gradient");
}

std::string JumpRelu::describe() const {
  return fmt::format(
      "JumpReLU: a = h·1[h > θ], θ = exp(t) per feature, θ₀ = {}, bandwidth {}, ∂θ by −{}/ε, ∂h {}",
      initial_threshold_, bandwidth_, gradient_of_pre_ ? "h" : "θ",
      input_gradient_ == InputGradient::kMasked     ? "where h > θ"
      : input_gradient_ == InputGradient::kPositive ? "where h ≥ 0"
                                                    : "everywhere");
}

}  // namespace crossloom::architectures
