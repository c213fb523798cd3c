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
void fill_panels(const at::Tensor& rows, const at::Tensor& panels) {
  const int64_t tokens = rows.size(0);
  const int64_t columns = rows.size(1);
  const int64_t panel = panel_columns(tokens, columns, static_cast<int64_t>(sizeof(Real)));
  for_token_ranges(tokens, [&](Range range) {
    const int64_t count = range.last - range.first;
    const Real* from = rows.const_data_ptr<Real>() + range.first * rows.stride(0);
    Real* to = panels.mutable_data_ptr<Real>();
    for (int64_t column = 0; column < columns; column += panel) {
      const int64_t width = std::min(panel, columns - column);
      copy_columns(from + column, rows.stride(0), count, width,
                   to + tokens * column + range.first * width, width);
    }
  });
}

}  // namespace

int64_t panel_columns(int64_t tokens, int64_t columns, int64_t element_bytes) {
  const int64_t unit_bytes = tokens * kColumnUnit * element_bytes;
  const int64_t units = cache_bytes() / std::max<int64_t>(unit_bytes, 1);
  const int64_t most = std::clamp(units * kColumnUnit, kColumnUnit, most_pass_columns());
  const int64_t panels = std::max<int64_t>(1, (columns + most - 1) / most);
  return ((columns + panels - 1) / panels + kColumnUnit - 1) / kColumnUnit * kColumnUnit;
}

at::Tensor panels_of(const at::Tensor& rows) {
  check_shape(rows, {-1, -1}, "rows");
  CROSSLOOM_CHECK(rows.stride(1) == 1, "columns must be contiguous");
  const at::Tensor panels = at::empty({rows.numel()}, rows.options());
  dispatch_real(rows.scalar_type(), [&](auto real) { fill_panels<decltype(real)>(rows, panels); });
  return panels;
}

}  // namespace crossloom::architectures::kernels
