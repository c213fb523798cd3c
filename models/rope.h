// Rotary position embedding, Llama's half-split form: the pair (i, i + Dh/2) of a head turns by
// p · base^(−2i/Dh) at position p. Source: Su et al. 2021; layout as in Hugging Face's Llama.
#pragma once

#include "common/tensor.h"

namespace crossloom::models {

struct RopeTables {
  at::Tensor cos, sin;  // [positions, Dh / 2]
};

/// Tables in `type`. In float32 the angle is rounded as the reference rounds it (float32 product of
/// position and frequency); in float64 nothing is rounded before.
RopeTables rope_tables(int64_t positions, int64_t head_width, double base, at::ScalarType type);

/// x [S, heads, Dh] (a view is fine as long as Dh is contiguous) → rotated [heads, S, Dh], in x's
/// type. `first_position` is the position of row 0. Differentiable when x requires grad.
at::Tensor rotate(const at::Tensor& x, const RopeTables& tables, int64_t first_position);

}  // namespace crossloom::models
