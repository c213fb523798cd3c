// An axis of a plot: value → pixel, and round numbers for its ticks.
#pragma once

#include <vector>

namespace crossloom::launch {

class PlotAxis {
 public:
  enum class Scale : unsigned char { kLinear, kLog };

  /// Spans the finite `values` (a log axis: those > 0) with some room around them, from
  /// `first_pixel` to `last_pixel`.
  PlotAxis(Scale scale, const std::vector<double>& values, double first_pixel, double last_pixel);

  /// Values outside the span stay at its ends.
  double pixel(double value) const;
  /// 2 to 12 round numbers inside the span, ascending.
  const std::vector<double>& ticks() const { return ticks_; }

 private:
  double place(double value) const;
  Scale scale_;
  double low_ = 0.0, high_ = 1.0;  // of place(value)
  double first_pixel_, last_pixel_;
  std::vector<double> ticks_;
};

}  // namespace crossloom::launch
