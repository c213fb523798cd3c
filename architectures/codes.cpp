#include "architectures/codes.h"

#include <algorithm>

namespace crossloom::architectures {
namespace {

template <typename Real>
Candidates merge_typed(const at::Tensor& index, const at::Tensor& value) {
  Candidates merged{at::empty_like(index), at::empty_like(value)};
  const int64_t width = index.size(1);
  const auto* from_index = index.const_data_ptr<int32_t>();
  const auto* from_value = value.const_data_ptr<Real>();
  auto* to_index = merged.index.mutable_data_ptr<int32_t>();
  auto* to_value = merged.value.mutable_data_ptr<Real>();
  std::vector<std::pair<Real, int32_t>> row(static_cast<size_t>(width));
  for (int64_t t = 0; t < index.size(0); ++t) {
    for (int64_t c = 0; c < width; ++c) {
      row[static_cast<size_t>(c)] = {from_value[t * width + c], from_index[t * width + c]};
    }
    std::sort(row.begin(), row.end(), [](const auto& a, const auto& b) {
      const bool absent_a = a.second < 0;
      const bool absent_b = b.second < 0;
      if (absent_a != absent_b) {
        return absent_b;
      }
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    for (int64_t c = 0; c < width; ++c) {
      to_value[t * width + c] = row[static_cast<size_t>(c)].first;
      to_index[t * width + c] = row[static_cast<size_t>(c)].second;
    }
  }
  return merged;
}

}  // namespace

Candidates merge_candidates(const std::vector<Candidates>& parts) {
  std::vector<at::Tensor> indices, values;
  for (const auto& part : parts) {
    indices.push_back(part.index);
    values.push_back(part.value);
  }
  const at::Tensor index = at::cat(indices, 1).contiguous();
  const at::Tensor value = at::cat(values, 1).contiguous();
  return value.scalar_type() == at::kDouble ? merge_typed<double>(index, value)
                                            : merge_typed<float>(index, value);
}

FeatureOrder by_feature(const LayerCodes& codes, int64_t features) {
  FeatureOrder order;
  const auto* offset = codes.offsets.const_data_ptr<int64_t>();
  const auto* index = codes.index.const_data_ptr<int32_t>();
  const auto count = static_cast<size_t>(codes.count());
  order.begin.assign(static_cast<size_t>(features) + 1, 0);
  for (size_t i = 0; i < count; ++i) {
    ++order.begin[static_cast<size_t>(index[i]) + 1];
  }
  for (size_t f = 0; f < static_cast<size_t>(features); ++f) {
    order.begin[f + 1] += order.begin[f];
  }
  order.token.resize(count);
  order.entry.resize(count);
  std::vector<int64_t> next(order.begin.begin(), order.begin.end() - 1);
  for (int64_t t = 0; t < codes.tokens(); ++t) {
    for (int64_t i = offset[t]; i < offset[t + 1]; ++i) {
      const auto place = static_cast<size_t>(next[static_cast<size_t>(index[i])]++);
      order.token[place] = static_cast<int32_t>(t);
      order.entry[place] = i;
    }
  }
  return order;
}

}  // namespace crossloom::architectures
