#include "architectures/kernels/estimates.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "architectures/kernels/scratch.h"

namespace crossloom::architectures::kernels {
namespace {

constexpr int64_t kFeaturesAtOnce = 12;  // whose products are looked at while in the cache
constexpr int64_t kGroupsPerKept = 8;    // of features, whose maxima bound the K-th largest

constexpr int64_t kFewestTokens = 64;  // below, bytes of the weights cost more than they save
constexpr int64_t kFewestFeatures = 512;
constexpr double kBusyShare = 0.9;  // of all threads' time, from which each takes a layer
constexpr int64_t kMostAtOnce_bytes = int64_t{1} << 30;

/// Room that a thread keeps: by far the largest piece of a layer's memory, which threads that take
/// layers side by side would else leave in ever other places.
int16_t* own_products(int64_t count) {
  thread_local Scratch<int16_t> scratch;
  return scratch.of_size(count);
}

/// Largest magnitude; +∞ when one is not finite.
float largest(const std::vector<float>& numbers) {
  float most = 0.0F;
  for (const float number : numbers) {
    most = std::isfinite(number) ? std::max(most, std::abs(number))
                                 : std::numeric_limits<float>::infinity();
  }
  return most;
}

/// At least ‖q‖ of every row, also of one that is not finite.
std::vector<double> byte_norms(const ByteRows& rows) {
  const double most = 127.0 * std::sqrt(static_cast<double>(rows.rows.size(1)));
  std::vector<double> norms(rows.steps.size());
  for (size_t i = 0; i < norms.size(); ++i) {
    const double step = rows.steps[i];
    norms[i] = step > 0.0 ? std::min(most, rows.norms[i] / step) : 0.0;
  }
  return norms;
}

/// k_f: with which the products of feature f fit 16 bits (Cauchy–Schwarz).
std::vector<int32_t> product_shifts(const ByteRows& inputs, const ByteRows& weights) {
  const std::vector<double> of_tokens = byte_norms(inputs);
  const double most = std::ranges::max(of_tokens);
  std::vector<int32_t> shifts;
  for (const double of_feature : byte_norms(weights)) {
    shifts.push_back(shift_for(most * of_feature));
  }
  return shifts;
}

}  // namespace

bool screening_pays(int64_t tokens, const at::Tensor& weight) {
  static const bool fast = has_byte_products();
  const bool fits = weight.scalar_type() == at::kFloat || weight.scalar_type() == at::kBFloat16;
  return fast && fits && tokens >= kFewestTokens && weight.size(0) >= kFewestFeatures &&
         weight.size(1) >= kScreenLanes;
}

int64_t layers_at_once(int64_t layers, int64_t tokens, int64_t width, int64_t features) {
  const int64_t threads = threads_here();
  const int64_t rounds = (layers + threads - 1) / threads;
  const double busy = static_cast<double>(layers) / static_cast<double>(rounds * threads);
  // Estimates, weights in bytes, inputs in panels and in bytes.
  const int64_t bytes = threads * (2 * tokens * features + features * width + 5 * tokens * width);
  return has_byte_products() && busy >= kBusyShare && bytes <= kMostAtOnce_bytes ? threads : 1;
}

Estimates::Estimates(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias)
    : frame_(byte_frame(x, weight)),
      inputs_(input_bytes(x, frame_)),
      weights_(weight_bytes(weight, frame_)),
      centre_norm_(frame_.scaled_centre.norm().item<float>()),
      errors_(inputs_.error_norms),
      bias_(weights_.products),
      shifts_(product_shifts(inputs_, weights_)),
      tiles_(tiles_of(inputs_.rows)),
      products_(own_products(weight.size(0) * tiles_.tokens())) {
  CROSSLOOM_CHECK(x.size(0) >= kScreenLanes && x.size(1) >= kScreenLanes && bias.is_contiguous(),
                  "estimates of {} tokens of width {}", x.size(0), x.size(1));
  const auto rounding = static_cast<float>(x.size(1)) * kFloatRounding;  // γ
  for (size_t t = 0; t < errors_.size(); ++t) {
    errors_[t] +=
        rounding * (inputs_.norms[t] + 2.0F * centre_norm_) + kFloatRounding * inputs_.norms[t];
  }
  const auto* from = bias.const_data_ptr<float>();
  for (size_t f = 0; f < bias_.size(); ++f) {
    bias_[f] += from[f];
  }
}

bool Estimates::usable() const {
  const float product_limit = (largest(inputs_.norms) + centre_norm_) * largest(weights_.norms);
  return std::isfinite(2.0F * (product_limit + largest(bias_)));
}

void Estimates::multiply_range(Range features) {
  const auto* weights = reinterpret_cast<const uint8_t*>(weights_.rows.const_data_ptr<int8_t>());
  multiply_bytes(weights + features.first * weights_.rows.size(1), shifts_.data() + features.first,
                 features.last - features.first, tiles_,
                 products_ + features.first * tiles_.tokens());
}

ScreenTokens Estimates::tokens() const {
  return {.steps = inputs_.steps.data(),
          .errors = errors_.data(),
          .norms = inputs_.norms.data(),
          .count = count()};
}

ScreenFeature Estimates::feature(int64_t number) const {
  const auto f = static_cast<size_t>(number);
  const float step = std::ldexp(weights_.steps[f], shifts_[f]);
  return {.products = products_ + number * tiles_.tokens(),
          .step = step,
          .bias = bias_[f],
          .norm = weights_.norms[f],
          .error_norm = weights_.error_norms[f] + grid_error(step)};
}

void Estimates::multiply() {
  at::parallel_for(0, features(), kFeatureGrain, [&](int64_t first, int64_t last) {
    multiply_range({first, last});
  });
}

std::vector<float> Estimates::multiply(int64_t kept) {
  const int64_t size = std::max<int64_t>(1, features() / (kGroupsPerKept * kept));
  const int64_t groups = (features() + size - 1) / size;
  const at::Tensor maxima = at::zeros({groups, count()}, at::kFloat);
  auto* most = maxima.mutable_data_ptr<float>();
  const auto raise = [&](Range range) {
    multiply_range(range);
    for (int64_t f = range.first; f < range.last; ++f) {
      raise_to_estimates(tokens(), feature(f), most + f / size * count());
    }
  };
  const int64_t grain = std::max<int64_t>(1, kFeatureGrain / size);
  at::parallel_for(0, groups, grain, [&](int64_t first, int64_t last) {
    const int64_t end = std::min(last * size, features());
    for (int64_t f = first * size; f < end; f += kFeaturesAtOnce) {
      raise({f, std::min(f + kFeaturesAtOnce, end)});
    }
  });
  std::vector<float> bars(static_cast<size_t>(count()));
  bars_from_maxima(most, groups, count(), kept, bars.data());
  return bars;
}

}  // namespace crossloom::architectures::kernels
