#include "trainer/applying_sink.h"

#include <hwy/cache_control.h>

#include <cmath>
#include <cstddef>
#include <numeric>

#include "architectures/kernels/dispatch.h"

namespace crossloom::trainer {

using architectures::Training;

/// One parameter with its part of the moments.
class ApplyingSink::Application final : public architectures::GradientStretches {
 public:
  Application(const architectures::Parameter& parameter, const at::Tensor& weight,
              int64_t flat_begin, Adam& adam)
      : training_(parameter.training),
        weight_(weight),
        flat_begin_(flat_begin),
        adam_(adam),
        m_(adam.first_moment().narrow(0, flat_begin, weight.numel())),
        v_(adam.second_moment().narrow(0, flat_begin, weight.numel())),
        row_elements_(weight.dim() > 1 ? weight.numel() / weight.size(0) : weight.numel()),
        row_squares_(static_cast<size_t>(weight.numel() / row_elements_)),
        element_bytes_(weight.element_size()),
        weight_bytes_(static_cast<std::byte*>(weight_.mutable_data_ptr())),
        m_bytes_(static_cast<std::byte*>(m_.mutable_data_ptr())),
        v_bytes_(static_cast<std::byte*>(v_.mutable_data_ptr())) {}

  void start(int64_t step, double learning_rate, double threshold_rate) {
    step_ = step;
    rate_ = training_ == Training::kThreshold ? threshold_rate : learning_rate;
    float_ = adam_.coefficients<float>(step, rate_, 1.0);
    double_ = adam_.coefficients<double>(step, rate_, 1.0);
    std::fill(row_squares_.begin(), row_squares_.end(), 0.0);
    gathers_ = false;
  }
  bool gathers() const { return gathers_; }
  at::Tensor gathered() {
    if (!gathers_) {
      gathers_ = true;
      buffer_ = buffer_.defined() ? buffer_.zero_() : at::zeros_like(weight_);
    }
    return buffer_;
  }
  void finish() {
    if (gathers_ && training_ != Training::kFixed) {
      const at::Tensor flat = buffer_.view({-1});
      architectures::kernels::dispatch_real(flat.scalar_type(), [&](auto real) {
        const auto* g = flat.const_data_ptr<decltype(real)>();
        for (size_t row = 0; row < row_squares_.size(); ++row) {
          row_squares_[row] += squared_sum(g + static_cast<int64_t>(row) * row_elements_,
                                           row_elements_);
        }
      });
      adam_.update(weight_.view({-1}), flat, flat_begin_, step_, rate_, 1.0);
    }
    gathers_ = false;
  }
  double squares() const {
    return std::accumulate(row_squares_.begin(), row_squares_.end(), 0.0);
  }
  void take(int64_t first, int64_t count, const float* gradient) override {
    apply(first, count, gradient, float_);
  }
  void take(int64_t first, int64_t count, const double* gradient) override {
    apply(first, count, gradient, double_);
  }
  void expect(int64_t first, int64_t count) override {
    constexpr int64_t kLine_bytes = 64;
    const int64_t begin = first * element_bytes_;
    for (int64_t i = begin; i < begin + count * element_bytes_; i += kLine_bytes) {
      for (const std::byte* values : {weight_bytes_, m_bytes_, v_bytes_}) {
        hwy::Prefetch(values + i);
      }
    }
  }

 private:
  /// A row's stretches come from one thread, in order.
  template <typename Real>
  void apply(int64_t first, int64_t count, const Real* gradient,
             const AdamCoefficients<Real>& coefficients) {
    row_squares_[static_cast<size_t>(first / row_elements_)] += squared_sum(gradient, count);
    const auto at = [first](std::byte* values) { return reinterpret_cast<Real*>(values) + first; };
    adam_stretch(at(weight_bytes_), gradient, at(m_bytes_), at(v_bytes_), count, coefficients);
  }

  Training training_;
  at::Tensor weight_;  // a view of the flat vector
  int64_t flat_begin_;
  Adam& adam_;
  at::Tensor m_, v_;
  at::Tensor buffer_;  // shape of the weight; only where gradients gather
  int64_t row_elements_;
  std::vector<double> row_squares_;
  int64_t element_bytes_;
  std::byte* weight_bytes_;
  std::byte* m_bytes_;
  std::byte* v_bytes_;
  bool gathers_ = false;
  int64_t step_ = 0;
  double rate_ = 0.0;
  AdamCoefficients<float> float_{};
  AdamCoefficients<double> double_{};
};

ApplyingSink::ApplyingSink(const std::vector<architectures::Parameter>& parameters,
                           FlatBuffer& weights, Adam& adam) {
  for (size_t p = 0; p < parameters.size(); ++p) {
    const at::Tensor& view = weights.view(p);
    const int64_t begin = view.storage_offset() - weights.whole().storage_offset();
    applications_.push_back(std::make_unique<Application>(parameters[p], view, begin, adam));
  }
}

ApplyingSink::~ApplyingSink() = default;

void ApplyingSink::start_step(int64_t step, double learning_rate, double threshold_rate) {
  for (const auto& application : applications_) {
    application->start(step, learning_rate, threshold_rate);
  }
}

at::Tensor ApplyingSink::gradient(size_t parameter) {
  return applications_[parameter]->gathered();
}

void ApplyingSink::finished(size_t parameter) {
  applications_[parameter]->finish();
}

architectures::GradientStretches* ApplyingSink::stretches(size_t parameter) {
  Application& application = *applications_[parameter];
  return application.gathers() ? nullptr : &application;
}

double ApplyingSink::gradient_norm() const {
  double sum = 0.0;
  for (const auto& application : applications_) {
    sum += application->squares();
  }
  return std::sqrt(sum);
}

}  // namespace crossloom::trainer
