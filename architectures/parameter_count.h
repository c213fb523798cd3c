// How many parameters an architecture has, without making them (transcoders.md 11.1); one whose
// parts come from outside is made and counted.
//
//   encoder   L (D F + F)          biases L D
//   decoder   D F · tables: L for plt, and for clt-incremental and clt-source-tied (affine or not);
//             for clt one per pair, P = L(L+1)/2 without a window
//   jumprelu  + L F;   batchtopk + L;   skip + L D²;   affine + 2 P F
#pragma once

#include "architectures/registry.h"

namespace crossloom::architectures {

/// Throws ConfigError when there is no such row.
int64_t parameter_count(const TranscoderOptions& options, const TranscoderShape& shape);

}  // namespace crossloom::architectures
