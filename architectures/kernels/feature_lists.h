// A layer's codes grouped by feature (CSC): every weight row then has one writer, and its tokens
// are added in ascending order whatever the thread count.
//
//   add_outer   table_grad[i] += Σ_{t: i active} weight_{t,i} · rows[t]
//
// Decoder: weight = activation, rows = ∂Loss/∂ŷ. Encoder: weight = gradient of the value, rows = x.
#pragma once

#include <functional>

#include "architectures/codes.h"
#include "architectures/kernels/ranges.h"

namespace crossloom::architectures::kernels {

struct FeatureLists {
  at::Tensor offsets;  // int64 [F + 1]
  at::Tensor token;    // int32 [nnz], ascending within a feature
  at::Tensor weight;   // real  [nnz]
};

/// Counting sort of `codes` by feature, carrying `weight` [nnz] (in the codes' order).
/// Throws InternalError when an index is not below `features`.
FeatureLists group_by_feature(const LayerCodes& codes, const at::Tensor& weight, int64_t features);

/// Calls `body(features)` in parallel on ranges that cover all features with codes and hold about
/// equally many codes each.
void for_feature_ranges(const FeatureLists& lists, const std::function<void(Range)>& body);

/// rows [T, d]; table_grad [F, d] (unit column stride), added to.
void add_outer(const FeatureLists& lists, const at::Tensor& rows, const at::Tensor& table_grad,
               Range features);

/// bias_grad [F] += Σ_{t: i active} weight_{t,i}, tokens ascending.
void add_weight_sums(const FeatureLists& lists, const at::Tensor& bias_grad);

}  // namespace crossloom::architectures::kernels
