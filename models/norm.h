// RMSNorm: s = √(mean_D r² + ε), n = g ⊙ r / s.
//
// Two bodies: ATen operations that autograd can follow, and one fused pass over memory for the
// plain forward; tests/models/norm_test.cpp keeps them equal.
#pragma once

#include "common/tensor.h"

namespace crossloom::models {

/// x [S, D] → denominators s [S, 1] in x's type.
at::Tensor rms_scale(const at::Tensor& x, double epsilon);

/// x [S, D] (float32 or float64), gain [D] → g ⊙ x / s in gain's type, without autograd.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& gain, double epsilon);

}  // namespace crossloom::models
