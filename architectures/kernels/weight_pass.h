// The backward pass over one weight matrix [F, d] from all terms that its gradient has:
//
//   g[i] = start_i · S[i] + Σ_terms Σ_t weight_{t,i} · rows[t]
//   reach_{t,i} += ⟨table[i], rows[t]⟩                     of every term that asks for it
//
// A single term of sparse codes goes feature by feature (feature_pass.h). Several terms, or dense
// codes, whose terms are products of matrices, are taken a block of features at a time: first the
// block's reach, from the table as it was, then its gradient, which is handed on complete. So a
// gradient of the whole matrix exists only where the caller has one.
#pragma once

#include <vector>

#include "architectures/kernels/feature_lists.h"
#include "architectures/kernels/panels.h"
#include "architectures/transcoder.h"

namespace crossloom::architectures::kernels {

struct SparseTerm {
  const FeatureLists* lists;
  at::Tensor rows;     // [T, d], unit column stride
  at::Tensor reach{};  // [nnz] in the lists' order; undefined: not wanted
  Panels panels{};     // panels_of(rows); may be undefined
};

struct DenseTerm {
  at::Tensor weight;   // [T, F]
  at::Tensor rows;     // [T, d]
  at::Tensor reach{};  // [T, F]; undefined: not wanted
};

/// At least one term. Fields as in FeaturePass.
struct WeightPass {
  std::vector<SparseTerm> sparse{};
  std::vector<DenseTerm> dense{};
  at::Tensor gradient{};   // [F, d], g is added to it; undefined: g goes to `stretches`
  at::Tensor table{};      // [F, d], may be bfloat16; undefined: no reach
  at::Tensor start{};      // [F]; undefined: 0
  at::Tensor start_row{};  // [d], S of all features where there is no table
  GradientStretches* stretches = nullptr;
  int64_t first_element = 0;
  int64_t row_stride = 0;
};

/// Of matrices that do not overlap.
using WeightPasses = std::vector<WeightPass>;
void run_weight_passes(const WeightPasses& passes);

/// Groups whose terms have no reach in common, side by side where they go by feature.
void run_weight_pass_groups(const std::vector<const WeightPasses*>& groups);

/// Features of a block: enough for products of matrices at their full speed.
inline constexpr int64_t kBlockFeatures = 512;

}  // namespace crossloom::architectures::kernels
