// TopK of the encoder without its float32 product. Products of bytes give an estimate of every
// entry with a bound (screen.h); the K best estimates of a row are computed in float32, then every
// other entry that by its bound could still exceed the least of them, and the K largest of all
// these are the codes. The same entries as from the whole float32 product, but for ties within
// float32's own rounding. For random rows about 2.3 K entries are computed.
//
// A value does not depend on threads; the order of its sum may depend on the batch's size, which
// sets how many columns pass at a time (feature_pass.cpp).
#pragma once

#include <optional>

#include "architectures/codes.h"

namespace crossloom::architectures::kernels {

/// x [T, D] and bias [F'] float32, weight [F', D] float32 or bfloat16, T and D ≥ kScreenLanes →
/// the at most `kept` largest positive entries of x weightᵀ + bias per row, in ascending order of
/// place, ties to the lower place. Nothing when the bound is of no use: an input or a weight is not
/// finite, or so large that products overflow, or so alike that too many entries survive.
std::optional<LayerCodes> screened_topk(const at::Tensor& x, const at::Tensor& weight,
                                        const at::Tensor& bias, int64_t kept);

}  // namespace crossloom::architectures::kernels
