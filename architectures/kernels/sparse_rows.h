// Products of codes with decoder tables, one (source, target) pair at a time. A table is a view
// [F, d] with unit stride along columns and any stride between rows, e.g. one target's slice of
// fat rows; a table's columns are visited in panels that stay in the second-level cache.
//
//   add_rows   y[t] += Σ_i a_{t,i} · table[i]             decode
//
// It works on a range of tokens and is called from parallel regions (ranges.h); additions are in
// ascending feature order, so results do not depend on the thread count.
#pragma once

#include <algorithm>

#include "architectures/codes.h"
#include "architectures/kernels/ranges.h"

namespace crossloom::architectures::kernels {

/// codes: T tokens; table [F, d]; y [T, d], added to.
void add_rows(const LayerCodes& codes, const at::Tensor& table, const at::Tensor& y, Range tokens);

/// Columns per panel, so that `rows` rows of a panel fill at most `kPanelBytes`: a multiple of the
/// column unit, or all of `columns` where even one unit would not fit.
inline constexpr int64_t kColumnUnit = 64;
inline constexpr int64_t kPanelBytes = 512 * 1024;
inline int64_t panel_columns(int64_t rows, int64_t columns, int64_t element_bytes) {
  const int64_t unit_bytes = std::max<int64_t>(1, rows) * kColumnUnit * element_bytes;
  const int64_t units = kPanelBytes / unit_bytes;
  return units == 0 ? columns : std::min(columns, units * kColumnUnit);
}

}  // namespace crossloom::architectures::kernels
