#include "architectures/kernels/reductions.h"

#include <ATen/Parallel.h>

#include <bit>

#include "architectures/kernels/dispatch.h"

namespace crossloom::architectures::kernels {
namespace {
constexpr int64_t kColumnGrain = 128;  // columns a thread takes at least
constexpr int64_t kRowGrain = 64;      // rows a thread takes at least

double number(float value) {
  return static_cast<double>(value);
}
double number(double value) {
  return value;
}
double number(bfloat16_t value) {
  return static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16));
}

template <typename Stored>
double square_sum(const Stored* row, int64_t count) {
  double sum = 0.0;
#pragma omp simd reduction(+ : sum)
  for (int64_t d = 0; d < count; ++d) {
    sum += number(row[d]) * number(row[d]);
  }
  return sum;
}

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
        const Real* row = data + t * rows.stride(0);
        for (int64_t d = first; d < last; ++d) {
          out[d] += static_cast<double>(row[d]);
        }
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
