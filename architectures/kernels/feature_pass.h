// The backward pass over weight rows, feature by feature: a row's gradient is complete before it is
// handed on, and what every code reaches is found from the same reads.
//
//   g[i] = start_i · S[i] + Σ_{t: i active} weight_{t,i} · rows[t]      [d]
//   reach_{t,i} += ⟨table[i], rows[t]⟩
//
// Decoder: weight = activation, rows = Δ = ∂Loss/∂ŷ, table = W_dec, reach = ∂Loss/∂a. Encoder:
// weight = ∂Loss/∂h, rows = x, no table. Survivors of a screen: rows = x, table = W_enc, reach = h,
// no gradient. S is the table itself (gradients of decoder norms), or without one a row for all
// features (what every token adds).
//
// Columns go in panels, so that rows' panel stays in the L2 cache while all features pass, and the
// rows of the next tokens are asked for while one is worked on; tokens are added in ascending
// order, and a feature has one writer: the bits do not depend on threads.
#pragma once

#include <vector>

#include "architectures/kernels/feature_lists.h"
#include "architectures/kernels/panels.h"
#include "architectures/transcoder.h"

namespace crossloom::architectures::kernels {

struct FeaturePass {
  const FeatureLists& lists;
  at::Tensor rows;         // [T, d], unit column stride
  Panels panels{};         // panels_of(rows), worth making for rows of several passes
  at::Tensor gradient{};   // [F, d], g is added to it; undefined: g goes to `stretches`, if any
  at::Tensor table{};      // [F, d], may be bfloat16; undefined: no reach
  at::Tensor reach{};      // [nnz] in the lists' order
  at::Tensor start{};      // [F]; undefined: 0
  at::Tensor start_row{};  // [d], where there is a start and no table
  GradientStretches* stretches = nullptr;  // null and no gradient: reach alone
  int64_t first_element = 0;  // of the stretches' parameter: where feature 0's column 0 is
  int64_t row_stride = 0;     // elements from a feature's row to the next one's
};

/// Passes that share their lists' offsets: a thread takes some features through all of them, one
/// pass after another.
using FeaturePasses = std::vector<FeaturePass>;

/// All features of all passes, in parallel. Every feature is delivered once per pass, also one
/// without codes.
void run_feature_passes(const FeaturePasses& passes);

/// Groups of passes side by side, who is free takes the next part. Groups have nothing in common
/// that a pass writes, and one type of weights.
void run_pass_groups(const std::vector<FeaturePasses>& groups);

/// Columns that a pass delivers at once at most, beginning at multiples of kColumnUnit.
inline constexpr int64_t kPassColumns = 256;

}  // namespace crossloom::architectures::kernels
