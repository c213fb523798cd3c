// A layer's codes grouped by feature (CSC): every weight row then has one writer, and its tokens
// are added in ascending order whatever the thread count (feature_pass.h).
#pragma once

#include <vector>

#include "architectures/codes.h"
#include "architectures/kernels/ranges.h"

namespace crossloom::architectures::kernels {

struct FeatureLists {
  at::Tensor offsets;  // int64 [F + 1]; of some features' lists alone: not from 0
  at::Tensor token;    // int32 [nnz], ascending within a feature
  at::Tensor weight;   // real  [nnz]
  at::Tensor entry;    // int64 [nnz], place among the codes
};

/// Counting sort of `codes` by feature, carrying `weight` [nnz] (in the codes' order).
/// Throws InternalError when an index is not below `features`.
FeatureLists group_by_feature(const LayerCodes& codes, const at::Tensor& weight, int64_t features);

/// Lists of the same tokens and features as one: within a feature, part after part. `entry` is the
/// place in the parts' lists laid end to end.
FeatureLists merge_lists(const std::vector<const FeatureLists*>& parts);

/// What the lists' features take, by themselves and for each of their codes; a code takes 1.
int64_t work_of(const FeatureLists& lists);

/// At most `parts` ranges, about equal in work, that together cover all features.
std::vector<Range> equal_parts(const FeatureLists& lists, int64_t parts);

/// sums [F] += Σ_{t: i active} weight_{t,i}, tokens ascending; weight [nnz] in the codes' order.
void add_weight_sums(const LayerCodes& codes, const at::Tensor& weight, const at::Tensor& sums);

}  // namespace crossloom::architectures::kernels
