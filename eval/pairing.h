// Cantor's pairing: one number for (layer, feature), the field `feature` of graph JSON and the name
// of a feature's file.  pair(x, y) = (x + y)(x + y + 1)/2 + y
// 64-bit on purpose: it passes 2³¹ near feature 65,500, and stays below 2⁵³ (exact in JavaScript)
// beyond a hundred million features.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>

namespace crossloom::eval {

/// For 0 ≤ x, y < 2³¹ the result fits int64.
constexpr int64_t cantor_pair(int64_t x, int64_t y) {
  return (x + y) * (x + y + 1) / 2 + y;
}

/// The (x, y) of 0 ≤ z < 2⁶¹.
inline std::pair<int64_t, int64_t> cantor_unpair(int64_t z) {
  // w = ⌊(√(8z + 1) − 1)/2⌋; the floating root is corrected to the integer one.
  auto w = static_cast<int64_t>(std::sqrt(2.0 * static_cast<double>(z)));
  while (w * (w + 1) / 2 > z) {
    --w;
  }
  while ((w + 1) * (w + 2) / 2 <= z) {
    ++w;
  }
  const int64_t y = z - w * (w + 1) / 2;
  return {w - y, y};
}

}  // namespace crossloom::eval
