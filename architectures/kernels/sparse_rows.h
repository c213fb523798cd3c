// Products of codes with decoder tables, one (source, target) pair at a time. A table is a view
// [F, d] with unit stride along columns and any stride between rows, e.g. one target's slice of
// fat rows; a table's columns are visited in panels that stay in the second-level cache.
//
//   add_rows   y[t] += Σ_i a_{t,i} · table[i]             decode
//
// It works on a range of tokens and is called from parallel regions (ranges.h); additions are in
// ascending feature order, so results do not depend on the thread count.
#pragma once

#include "architectures/codes.h"
#include "architectures/kernels/ranges.h"

namespace crossloom::architectures::kernels {

/// codes: T tokens; table [F, d]; y [T, d], added to.
void add_rows(const LayerCodes& codes, const at::Tensor& table, const at::Tensor& y, Range tokens);

inline constexpr int64_t kColumnUnit = 64;

/// Columns per panel, so that `rows` rows of a panel fill at most half of this machine's
/// second-level cache: a multiple of the column unit, or all of `columns` where even one unit would
/// not fit.
int64_t panel_columns(int64_t rows, int64_t columns, int64_t element_bytes);

}  // namespace crossloom::architectures::kernels
