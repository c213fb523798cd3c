// Panels of rows: some columns of all tokens, which stay in the second-level cache while all
// features pass over them (feature_pass.h).
#pragma once

#include "common/tensor.h"

namespace crossloom::architectures::kernels {

/// What is made from a panel. Where it is features' gradients, the time that each takes beside its
/// codes counts, and few wide panels are best, which fill the cache; codes' values alone (reach)
/// come faster from panels that leave half of it free.
enum class PanelUse : uint8_t { kGradients, kReach };

/// Columns of a panel: as many as the cache holds of so many tokens, whole units of kColumnUnit;
/// panels of about equal width.
int64_t panel_columns(int64_t tokens, int64_t columns, int64_t element_bytes, PanelUse use);

/// Rows [T, d] laid out anew, flat [T · d]: a panel's columns lie together for all tokens, a panel
/// after a panel.
struct Panels {
  at::Tensor values;    // undefined: not made
  int64_t columns = 0;  // of a panel, but for the last
};

/// Of rows with unit column stride.
Panels panels_of(const at::Tensor& rows, PanelUse use);

}  // namespace crossloom::architectures::kernels
