#include "trainer/application.h"

#include <ATen/Parallel.h>

#include <cstddef>
#include <numeric>
#include <optional>

#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/scratch.h"
#include "architectures/stored_weights.h"
#include "common/rng.h"

namespace crossloom::trainer {
namespace {

// Stretches of a row begin at column units (feature_pass.h), so at whole blocks.
static_assert(architectures::kColumnUnit % kStateBlock == 0);

std::byte* bytes_at(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<std::byte*>(tensor.mutable_data_ptr()) : nullptr;
}

class ExactApplication final : public Application {
 public:
  ExactApplication(const architectures::Parameter& parameter, int64_t first_element,
                   const Moments& moments, const AdamOptions& options)
      : Application(parameter),
        options_(options),
        element_bytes_(parameter.value.element_size()),
        place_(first_element - moments.own.begin),
        weight_(bytes_at(parameter.value)),
        m_(bytes_at(moments.first)),
        v_(bytes_at(moments.second)) {}

  void start(int64_t step, double rate, double scale) override {
    float_ = adam_coefficients<float>(options_, step, rate, scale);
    double_ = adam_coefficients<double>(options_, step, rate, scale);
    forget_squares();
  }
  void expect(int64_t first, int64_t count) override {
    const auto values = [&](const std::byte* all, int64_t place) {
      architectures::kernels::prefetch_stretch(all + place * element_bytes_,
                                               count * element_bytes_);
    };
    values(weight_, first);
    values(m_, place_ + first);
    values(v_, place_ + first);
  }

 protected:
  void apply(int64_t first, int64_t count, const float* gradient) override {
    update(first, count, gradient, float_);
  }
  void apply(int64_t first, int64_t count, const double* gradient) override {
    update(first, count, gradient, double_);
  }

 private:
  template <typename Real>
  void update(int64_t first, int64_t count, const Real* gradient,
              const AdamCoefficients<Real>& coefficients) {
    const auto at = [](std::byte* all, int64_t place) {
      return reinterpret_cast<Real*>(all) + place;
    };
    adam_stretch(at(weight_, first), gradient, at(m_, place_ + first), at(v_, place_ + first),
                 count, coefficients);
  }

  AdamOptions options_;
  int64_t element_bytes_;
  int64_t place_;  // of element 0 in the moments; negative where this rank does not own it
  std::byte* weight_;
  std::byte* m_;
  std::byte* v_;
  AdamCoefficients<float> float_{};
  AdamCoefficients<double> double_{};
};

class StoredApplication final : public Application {
 public:
  StoredApplication(const architectures::Parameter& parameter, int64_t first_element,
                    const ParameterState& state, const AdamOptions& options, uint64_t seed)
      : Application(parameter),
        first_element_(first_element),
        state_(state),
        options_(options),
        rng_(seed, Purpose::kStochasticRounding),
        weight_type_(parameter.value.scalar_type() == at::kBFloat16 ? Stored::kHalf
                                                                    : Stored::kFloat),
        weight_bytes_(parameter.value.element_size()),
        moment_bytes_(state.second.element_size()),
        weight_(bytes_at(parameter.value)),
        first_(bytes_at(state.first)),
        second_(bytes_at(state.second)),
        first_scales_(scales_of(state.first_scales)),
        second_scales_(scales_of(state.second_scales)) {}

  void start(int64_t step, double rate, double scale) override {
    const auto bits = rng_.bits(static_cast<uint64_t>(step));
    rates_.emplace(StoredCoefficients{.adam = adam_coefficients<float>(options_, step, rate, scale),
                                      .smallest_second = static_cast<float>(
                                          smallest_second(options_.beta1, options_.beta2)),
                                      .key = (uint64_t{bits[0]} << 32) | bits[1]},
                   options_.beta1 > 0.0);
    forget_squares();
  }
  void expect(int64_t first, int64_t count) override {
    const auto values = [&](const std::byte* all, int64_t place, int64_t bytes) {
      if (all != nullptr) {
        architectures::kernels::prefetch_stretch(all + place * bytes, count * bytes);
      }
    };
    const int64_t place = state_.place(first);
    values(weight_, first, weight_bytes_);
    values(first_, place, moment_bytes_);
    values(second_, place, moment_bytes_);
    const int64_t block = state_.block(first);
    const int64_t blocks = (count + kStateBlock - 1) / kStateBlock;
    for (const float* scales : {first_scales_, second_scales_}) {
      if (scales != nullptr) {
        architectures::kernels::prefetch_stretch(scales + block, blocks);
      }
    }
  }

 protected:
  void apply(int64_t first, int64_t count, const float* gradient) override {
    const int64_t place = state_.place(first);
    const int64_t block = state_.block(first);
    const auto scales = [block](float* all) { return all == nullptr ? nullptr : all + block; };
    const StoredStretch stretch{
        .weights = weight_ + first * weight_bytes_,
        .weight_type = weight_type_,
        .first = first_ == nullptr ? nullptr : first_ + place * moment_bytes_,
        .second = second_ + place * moment_bytes_,
        .state_type = state_.type,
        .first_scales = scales(first_scales_),
        .second_scales = scales(second_scales_)};
    adam_stored_stretch(stretch, gradient, count, first_element_ + first, *rates_);
  }
  void apply(int64_t, int64_t, const double*) override {
    CROSSLOOM_CHECK(false, "few-byte states take float32 gradients");
  }

 private:
  static float* scales_of(const at::Tensor& all) {
    return all.defined() ? all.mutable_data_ptr<float>() : nullptr;
  }

  int64_t first_element_;
  const ParameterState& state_;
  AdamOptions options_;
  Rng rng_;
  Stored weight_type_;
  int64_t weight_bytes_, moment_bytes_;  // of an element
  std::byte* weight_;
  std::byte* first_;  // null: β₁ = 0
  std::byte* second_;
  float* first_scales_;  // null: states without
  float* second_scales_;
  std::optional<StoredRates> rates_;
};

}  // namespace

Application::Application(const architectures::Parameter& parameter)
    : parameter_(parameter),
      feature_elements_(parameter.value.dim() > 1
                            ? parameter.value.numel() / parameter.value.size(0)
                            : parameter.value.numel()),
      feature_squares_(static_cast<size_t>(parameter.value.numel() / feature_elements_)) {}

at::Tensor Application::gathered() {
  if (!gathers_) {
    gathers_ = true;
    const auto& value = parameter_.value;
    buffer_ = buffer_.defined()
                  ? buffer_.zero_()
                  : at::zeros(value.sizes(), architectures::computed_type(value.scalar_type()));
  }
  return buffer_;
}

void Application::finish() {
  if (gathers_ && parameter_.training != architectures::Training::kFixed) {
    const int64_t row = parameter_.value.size(-1);
    architectures::kernels::dispatch_real(buffer_.scalar_type(), [&](auto real) {
      const auto* g = buffer_.const_data_ptr<decltype(real)>();
      at::parallel_for(0, std::ssize(feature_squares_), 1, [&](int64_t first, int64_t last) {
        for (int64_t i = first * feature_elements_; i < last * feature_elements_; i += row) {
          take_stretch(i, row, g + i);
        }
      });
    });
  }
  gathers_ = false;
}

void Application::apply_part(const Range& part, const at::Tensor& gradient) {
  constexpr int64_t kElementsPerTask = 1 << 14;
  check_shape(gradient, {part.count()}, "gradient");
  const int64_t row = parameter_.value.size(-1);
  const int64_t rows_per_task = (kElementsPerTask + row - 1) / row;
  const int64_t first_row = part.begin / row;
  const int64_t end_row = (part.end + row - 1) / row;
  architectures::kernels::dispatch_real(gradient.scalar_type(), [&](auto real) {
    const auto* g = gradient.const_data_ptr<decltype(real)>();
    at::parallel_for(first_row, end_row, rows_per_task, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const Range stretch = overlap(part, {i * row, (i + 1) * row});
        apply(stretch.begin, stretch.count(), g + (stretch.begin - part.begin));
      }
    });
  });
}

double Application::squares() const {
  return std::accumulate(feature_squares_.begin(), feature_squares_.end(), 0.0);
}

void Application::forget_squares() {
  std::fill(feature_squares_.begin(), feature_squares_.end(), 0.0);
}

template <typename Real>
void Application::take_stretch(int64_t first, int64_t count, const Real* gradient) {
  feature_squares_[static_cast<size_t>(first / feature_elements_)] += squared_sum(gradient, count);
  apply(first, count, gradient);
}

void Application::take(int64_t first, int64_t count, const float* gradient) {
  take_stretch(first, count, gradient);
}

void Application::take(int64_t first, int64_t count, const double* gradient) {
  take_stretch(first, count, gradient);
}

std::unique_ptr<Application> exact_application(const architectures::Parameter& parameter,
                                               int64_t first_element, const Moments& moments,
                                               const AdamOptions& options) {
  return std::make_unique<ExactApplication>(parameter, first_element, moments, options);
}

std::unique_ptr<Application> stored_application(const architectures::Parameter& parameter,
                                                int64_t first_element, const ParameterState& state,
                                                const AdamOptions& options, uint64_t seed) {
  return std::make_unique<StoredApplication>(parameter, first_element, state, options, seed);
}

}  // namespace crossloom::trainer
