// The mean of a list; 0 of an empty one.
#pragma once

#include <numeric>
#include <vector>

namespace crossloom {

inline double mean(const std::vector<double>& values) {
  return values.empty() ? 0.0
                        : std::accumulate(values.begin(), values.end(), 0.0) /
                              static_cast<double>(values.size());
}

}  // namespace crossloom
