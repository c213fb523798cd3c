#include "launch/plot_axis.h"

#include <algorithm>
#include <cmath>

namespace crossloom::launch {
namespace {

constexpr size_t kEnoughTicks = 4;

/// Multiples of 1, 2, 2.5 or 5 times a power of ten, about five of them.
std::vector<double> linear_ticks(double low, double high) {
  const double rough = (high - low) / 5.0;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10.0 * power;
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (factor * power >= rough) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> ticks;
  for (double n = std::ceil(low / step); n * step <= high; ++n) {
    ticks.push_back(n * step + 0.0);  // no negative zero
  }
  return ticks;
}

/// `factors` times every power of ten in the span.
std::vector<double> decade_ticks(double low, double high, const std::vector<double>& factors) {
  std::vector<double> ticks;
  for (double power = std::floor(std::log10(low)); power <= std::log10(high); ++power) {
    for (const double factor : factors) {
      const double tick = factor * std::pow(10.0, power);
      if (tick >= low && tick <= high) {
        ticks.push_back(tick);
      }
    }
  }
  return ticks;
}

/// Powers of ten when there are enough, else finer steps between them.
std::vector<double> log_ticks(double low, double high) {
  for (const auto& factors : {std::vector<double>{1}, std::vector<double>{1, 2, 5},
                              std::vector<double>{1, 1.5, 2, 3, 4, 6, 8}}) {
    const auto ticks = decade_ticks(low, high, factors);
    if (ticks.size() >= kEnoughTicks) {
      return ticks;
    }
  }
  return linear_ticks(low, high);
}

}  // namespace

PlotAxis::PlotAxis(Scale scale, const std::vector<double>& values, double first_pixel,
                   double last_pixel)
    : scale_(scale), first_pixel_(first_pixel), last_pixel_(last_pixel) {
  std::vector<double> places;
  for (const double value : values) {
    if (std::isfinite(value) && (scale_ == Scale::kLinear || value > 0.0)) {
      places.push_back(place(value));
    }
  }
  if (!places.empty()) {
    const auto [least, most] = std::minmax_element(places.begin(), places.end());
    constexpr double kRoom = 0.06;  // of the span, on either side
    constexpr double kShare = 0.1;  // span of values that are all the same, of their size
    const double smallest =
        scale_ == Scale::kLog ? kShare : std::max(kShare * std::abs(*most), 1e-6);
    const double room = std::max(kRoom * (*most - *least), kRoom * smallest);
    low_ = *least - room;
    high_ = *most + room;
  }
  ticks_ = scale_ == Scale::kLinear ? linear_ticks(low_, high_)
                                    : log_ticks(std::pow(10.0, low_), std::pow(10.0, high_));
}

double PlotAxis::place(double value) const {
  return scale_ == Scale::kLinear ? value : std::log10(value);
}

double PlotAxis::pixel(double value) const {
  const bool below = scale_ == Scale::kLog && value <= 0.0;
  const double share = below ? 0.0 : (place(value) - low_) / (high_ - low_);
  return first_pixel_ + std::clamp(share, 0.0, 1.0) * (last_pixel_ - first_pixel_);
}

}  // namespace crossloom::launch
