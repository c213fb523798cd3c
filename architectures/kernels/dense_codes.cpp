#include "architectures/kernels/dense_codes.h"

#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/ranges.h"

namespace crossloom::architectures::kernels {

at::Tensor densify(const LayerCodes& codes, const at::Tensor& values, int64_t features) {
  check_shape(values, {codes.count()}, "values");
  const at::Tensor matrix = at::zeros({codes.tokens(), features}, values.options());
  const auto* offsets = codes.offsets.const_data_ptr<int64_t>();
  const auto* index = codes.index.const_data_ptr<int32_t>();
  dispatch_real(values.scalar_type(), [&](auto real) {
    using Real = decltype(real);
    const Real* from = values.const_data_ptr<Real>();
    Real* to = matrix.mutable_data_ptr<Real>();
    for_token_ranges(codes.tokens(), [&](Range tokens) {
      for (int64_t t = tokens.first; t < tokens.last; ++t) {
        for (int64_t j = offsets[t]; j < offsets[t + 1]; ++j) {
          to[t * features + index[j]] = from[j];
        }
      }
    });
  });
  return matrix;
}

at::Tensor gather_entries(const LayerCodes& codes, const at::Tensor& matrix) {
  check_shape(matrix, {codes.tokens(), -1}, "matrix");
  const int64_t features = matrix.size(1);
  const at::Tensor values = at::empty({codes.count()}, matrix.options());
  const auto* offsets = codes.offsets.const_data_ptr<int64_t>();
  const auto* index = codes.index.const_data_ptr<int32_t>();
  dispatch_real(matrix.scalar_type(), [&](auto real) {
    using Real = decltype(real);
    const Real* from = matrix.const_data_ptr<Real>();
    Real* to = values.mutable_data_ptr<Real>();
    for_token_ranges(codes.tokens(), [&](Range tokens) {
      for (int64_t t = tokens.first; t < tokens.last; ++t) {
        for (int64_t j = offsets[t]; j < offsets[t + 1]; ++j) {
          to[j] = from[t * features + index[j]];
        }
      }
    });
  });
  return values;
}

}  // namespace crossloom::architectures::kernels
