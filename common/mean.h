// Mean and standard deviation of a list.
#pragma once

#include <cmath>
#include <numeric>
#include <vector>

namespace crossloom {

/// 0 of an empty list.
inline double mean(const std::vector<double>& values) {
  return values.empty() ? 0.0
                        : std::accumulate(values.begin(), values.end(), 0.0) /
                              static_cast<double>(values.size());
}

/// With n − 1; 0 of fewer than two values.
inline double sample_deviation(const std::vector<double>& values) {
  if (values.size() < 2) {
    return 0.0;
  }
  const double centre = mean(values);
  double squares = 0.0;
  for (const double value : values) {
    squares += (value - centre) * (value - centre);
  }
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

}  // namespace crossloom
