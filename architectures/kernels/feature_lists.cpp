#include "architectures/kernels/feature_lists.h"

#include <algorithm>
#include <vector>

#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/row_kernels.h"
#include "architectures/kernels/sparse_rows.h"

namespace crossloom::architectures::kernels {
namespace {

constexpr int64_t kCodeGrain = 512;  // codes a thread takes at least

/// offsets[i + 1] = codes of features 0 … i.
at::Tensor count_offsets(const LayerCodes& codes, int64_t features) {
  const at::Tensor offsets = at::zeros({features + 1}, at::kLong);
  auto* counts = offsets.mutable_data_ptr<int64_t>();
  const auto* index = codes.index.const_data_ptr<int32_t>();
  for (int64_t j = 0; j < codes.count(); ++j) {
    CROSSLOOM_CHECK(index[j] >= 0 && index[j] < features, "feature {} of {}", index[j], features);
    ++counts[index[j] + 1];
  }
  for (int64_t i = 0; i < features; ++i) {
    counts[i + 1] += counts[i];
  }
  return offsets;
}

template <typename Real>
void fill_lists(const LayerCodes& codes, const at::Tensor& weight, const FeatureLists& lists) {
  const auto* starts = lists.offsets.const_data_ptr<int64_t>();
  std::vector<int64_t> next(starts, starts + lists.offsets.size(0));
  const auto* row = codes.offsets.const_data_ptr<int64_t>();
  const auto* index = codes.index.const_data_ptr<int32_t>();
  const Real* from = weight.const_data_ptr<Real>();
  auto* token = lists.token.mutable_data_ptr<int32_t>();
  Real* to = lists.weight.mutable_data_ptr<Real>();
  for (int64_t t = 0; t < codes.tokens(); ++t) {
    for (int64_t j = row[t]; j < row[t + 1]; ++j) {
      const int64_t place = next[static_cast<size_t>(index[j])]++;
      token[place] = static_cast<int32_t>(t);
      to[place] = from[j];
    }
  }
}

template <typename Real>
void add_outer_typed(const FeatureLists& lists, const at::Tensor& rows, const at::Tensor& grad,
                     Range features) {
  const auto& kernels = row_kernels<Real>();
  const auto* offsets = lists.offsets.const_data_ptr<int64_t>();
  const auto* token = lists.token.const_data_ptr<int32_t>();
  const Real* weight = lists.weight.const_data_ptr<Real>();
  const Real* row_data = rows.const_data_ptr<Real>();
  Real* out = grad.mutable_data_ptr<Real>();
  const int64_t columns = rows.size(1);
  const int64_t panel = panel_columns(rows.size(0), columns, sizeof(Real));
  for (int64_t c = 0; c < columns; c += panel) {
    const int64_t width = std::min(panel, columns - c);
    for (int64_t i = features.first; i < features.last; ++i) {
      const int64_t begin = offsets[i];
      kernels.gather_add(offsets[i + 1] - begin, token + begin, weight + begin, row_data + c,
                         rows.stride(0), width, out + i * grad.stride(0) + c);
    }
  }
}

template <typename Real>
void add_sums_typed(const FeatureLists& lists, const at::Tensor& bias_grad) {
  const auto* offsets = lists.offsets.const_data_ptr<int64_t>();
  const Real* weight = lists.weight.const_data_ptr<Real>();
  Real* out = bias_grad.mutable_data_ptr<Real>();
  for (int64_t i = 0; i + 1 < lists.offsets.size(0); ++i) {
    for (int64_t j = offsets[i]; j < offsets[i + 1]; ++j) {
      out[i] += weight[j];
    }
  }
}

}  // namespace

FeatureLists group_by_feature(const LayerCodes& codes, const at::Tensor& weight, int64_t features) {
  check_shape(weight, {codes.count()}, "weight");
  CROSSLOOM_CHECK(weight.is_contiguous() && codes.index.is_contiguous(),
                  "codes must be contiguous");
  checked_cast<int32_t>(codes.tokens());
  FeatureLists lists{.offsets = count_offsets(codes, features),
                     .token = at::empty({codes.count()}, at::kInt),
                     .weight = at::empty_like(weight)};
  dispatch_real(weight.scalar_type(),
                [&](auto real) { fill_lists<decltype(real)>(codes, weight, lists); });
  return lists;
}

void for_feature_ranges(const FeatureLists& lists, const std::function<void(Range)>& body) {
  const auto* offsets = lists.offsets.const_data_ptr<int64_t>();
  const auto* end = offsets + lists.offsets.size(0) - 1;
  // Equal shares of the codes; a feature belongs to the share in which its list begins.
  at::parallel_for(0, lists.token.size(0), kCodeGrain, [&](int64_t first, int64_t last) {
    body({std::lower_bound(offsets, end, first) - offsets,
          std::lower_bound(offsets, end, last) - offsets});
  });
}

void add_outer(const FeatureLists& lists, const at::Tensor& rows, const at::Tensor& table_grad,
               Range features) {
  check_shape(table_grad, {lists.offsets.size(0) - 1, rows.size(1)}, "table_grad");
  CROSSLOOM_CHECK(rows.stride(1) == 1 && table_grad.stride(1) == 1, "columns must be contiguous");
  dispatch_real(rows.scalar_type(), [&](auto real) {
    add_outer_typed<decltype(real)>(lists, rows, table_grad, features);
  });
}

void add_weight_sums(const FeatureLists& lists, const at::Tensor& bias_grad) {
  check_shape(bias_grad, {lists.offsets.size(0) - 1}, "bias_grad");
  dispatch_real(bias_grad.scalar_type(),
                [&](auto real) { add_sums_typed<decltype(real)>(lists, bias_grad); });
}

}  // namespace crossloom::architectures::kernels
