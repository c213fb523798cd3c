// BatchTopK's candidates without the encoder's float32 product, as screened_topk.h finds TopK's:
// the entries whose estimates reach a bar are computed in float32; what K·T of these reach is a
// lower bound of the batch's bar, and every other entry that by its bound could reach that is
// computed, too.
//
// The first bar comes from some of the estimates. It decides how much is computed, not what is
// found.
#pragma once

#include <optional>

#include "architectures/codes.h"

namespace crossloom::architectures::kernels {

/// x [T, D] and bias [F'] float32, weight [F', D] float32 or bfloat16, T and D ≥ kScreenLanes →
/// positive entries of x weightᵀ + bias as rows of codes: all that reach the `kept`-th largest of
/// the whole matrix, and no others. Nothing when the bound is of no use (as in screened_topk), or
/// fewer than `kept` are positive.
std::optional<LayerCodes> screened_batch_topk(const at::Tensor& x, const at::Tensor& weight,
                                              const at::Tensor& bias, int64_t kept);

}  // namespace crossloom::architectures::kernels
