#include "architectures/kernels/panels.h"

#include <algorithm>

#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/feature_pass.h"
#include "architectures/kernels/pass_view.h"
#include "architectures/kernels/ranges.h"
#include "architectures/kernels/scratch.h"

namespace crossloom::architectures::kernels {
namespace {

template <typename Real>
void fill_panels(const at::Tensor& rows, const Panels& panels) {
  const int64_t tokens = rows.size(0);
  const int64_t columns = rows.size(1);
  for_token_ranges(tokens, [&](Range range) {
    const int64_t count = range.last - range.first;
    const Real* from = rows.const_data_ptr<Real>() + range.first * rows.stride(0);
    Real* to = panels.values.mutable_data_ptr<Real>();
    for (int64_t column = 0; column < columns; column += panels.columns) {
      const int64_t width = std::min(panels.columns, columns - column);
      copy_columns(from + column, rows.stride(0), count, width,
                   to + tokens * column + range.first * width, width);
    }
  });
}

}  // namespace

int64_t panel_columns(int64_t tokens, int64_t columns, int64_t element_bytes, PanelUse use) {
  const int64_t room_bytes = use == PanelUse::kGradients ? cache_bytes() : cache_bytes() / 2;
  const int64_t unit_bytes = tokens * kColumnUnit * element_bytes;
  const int64_t units = room_bytes / std::max<int64_t>(unit_bytes, 1);
  const int64_t most = std::clamp(units * kColumnUnit, kColumnUnit, most_pass_columns());
  const int64_t panels = std::max<int64_t>(1, (columns + most - 1) / most);
  return ((columns + panels - 1) / panels + kColumnUnit - 1) / kColumnUnit * kColumnUnit;
}

Panels panels_of(const at::Tensor& rows, PanelUse use) {
  check_shape(rows, {-1, -1}, "rows");
  CROSSLOOM_CHECK(rows.stride(1) == 1, "columns must be contiguous");
  const Panels panels{
      .values = at::empty({rows.numel()}, rows.options()),
      .columns = panel_columns(rows.size(0), rows.size(1), rows.element_size(), use)};
  dispatch_real(rows.scalar_type(), [&](auto real) { fill_panels<decltype(real)>(rows, panels); });
  return panels;
}

}  // namespace crossloom::architectures::kernels
