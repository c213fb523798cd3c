// Panels of rows: some columns of all tokens, which stay in the second-level cache while all
// features pass over them (feature_pass.h).
#pragma once

#include "common/tensor.h"

namespace crossloom::architectures::kernels {

/// Columns of a panel: as many as fill the cache for so many tokens, whole units of kColumnUnit;
/// panels of about equal width.
int64_t panel_columns(int64_t tokens, int64_t columns, int64_t element_bytes);

/// `rows` [T, d], unit column stride, laid out anew, flat [T · d]: a panel's columns lie together
/// for all tokens, a panel after a panel.
at::Tensor panels_of(const at::Tensor& rows);

}  // namespace crossloom::architectures::kernels
