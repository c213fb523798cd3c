// Elements of a row that share a scale where moments are stored in 8 bits.
#pragma once

#include <cstdint>

namespace crossloom::trainer {

inline constexpr int64_t kStateBlock = 64;

/// Below what a squared gradient, a moment or a divisor matters.
inline constexpr float kTiny = 1e-27F;

}  // namespace crossloom::trainer
