// How many parameters an architecture has, without making them (transcoders.md 11.1):
//
//   encoder   L (D F + F)          biases L D
//   decoder   plt, clt-incremental, clt-source-tied: L D F;  clt: D F · #pairs (P = L(L+1)/2
//   without
//             a window)
//   jumprelu  + L F;   batchtopk + L;   skip + L D²
#pragma once

#include "architectures/registry.h"

namespace crossloom::architectures {

/// Throws ConfigError when there is no such row; −1 for a topology or activation added from
/// outside.
int64_t parameter_count(const TranscoderOptions& options, const TranscoderShape& shape);

}  // namespace crossloom::architectures
