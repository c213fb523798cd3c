#include "architectures/kernels/reductions.h"

#include <ATen/Parallel.h>

#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/row_sums.h"

namespace crossloom::architectures::kernels {
namespace {
constexpr int64_t kColumnGrain = 128;  // columns a thread takes at least
constexpr int64_t kRowGrain = 64;      // rows a thread takes at least

}  // namespace

at::Tensor column_sums(const at::Tensor& rows) {
  check_shape(rows, {-1, -1}, "rows");
  CROSSLOOM_CHECK(rows.stride(1) == 1, "columns must be contiguous");
  const at::Tensor sums = at::zeros({rows.size(1)}, at::kDouble);
  auto* out = sums.mutable_data_ptr<double>();
  dispatch_real(rows.scalar_type(), [&](auto real) {
    using Real = decltype(real);
    const Real* data = rows.const_data_ptr<Real>();
    at::parallel_for(0, rows.size(1), kColumnGrain, [&](int64_t first, int64_t last) {
      for (int64_t t = 0; t < rows.size(0); ++t) {
        add_row(data + t * rows.stride(0) + first, last - first, out + first);
      }
    });
  });
  return sums;
}

at::Tensor row_square_sums(const at::Tensor& rows) {
  check_shape(rows, {-1, -1}, "rows");
  CROSSLOOM_CHECK(rows.stride(1) == 1, "columns must be contiguous");
  const at::Tensor sums = at::empty({rows.size(0)}, at::kDouble);
  auto* out = sums.mutable_data_ptr<double>();
  dispatch_stored(rows.scalar_type(), [&](auto /*real*/, auto stored) {
    const auto* data = stored_data<decltype(stored)>(rows);
    at::parallel_for(0, rows.size(0), kRowGrain, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        out[i] = square_sum(data + i * rows.stride(0), rows.size(1));
      }
    });
  });
  return sums;
}

}  // namespace crossloom::architectures::kernels
