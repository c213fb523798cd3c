// Initial weights: each a pure function of (seed, purpose, layer, position in the whole tensor), so
// that any rank can make its part alone and any rank count starts from the same bits.
#pragma once

#include "common/rng.h"
#include "common/tensor.h"

namespace crossloom::architectures {

/// U(−bound, +bound), element i of the flattened `shape` from draw i of `rng`. Drawn in float64 and
/// rounded once to `type` (float32 or float64).
at::Tensor uniform_weights(at::IntArrayRef shape, at::ScalarType type, const Rng& rng,
                           double bound);

}  // namespace crossloom::architectures
