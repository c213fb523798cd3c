#include "architectures/kernels/feature_lists.h"

#include <algorithm>
#include <vector>

#include "architectures/kernels/dispatch.h"

namespace crossloom::architectures::kernels {
namespace {

constexpr int64_t kWorkGrain = 512;  // codes of a part at least
constexpr int64_t kFeatureWork = 2;  // of a feature without codes, in codes

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
  auto* entry = lists.entry.mutable_data_ptr<int64_t>();
  Real* to = lists.weight.mutable_data_ptr<Real>();
  for (int64_t t = 0; t < codes.tokens(); ++t) {
    for (int64_t j = row[t]; j < row[t + 1]; ++j) {
      const int64_t place = next[static_cast<size_t>(index[j])]++;
      token[place] = static_cast<int32_t>(t);
      to[place] = from[j];
      entry[place] = j;
    }
  }
}

template <typename Real>
void fill_merged(const std::vector<const FeatureLists*>& parts, const FeatureLists& merged) {
  const auto* offsets = merged.offsets.const_data_ptr<int64_t>();
  auto* token = merged.token.mutable_data_ptr<int32_t>();
  Real* weight = merged.weight.mutable_data_ptr<Real>();
  auto* entry = merged.entry.mutable_data_ptr<int64_t>();
  const std::vector<Range> parts_of_features = equal_parts(merged, threads_here());
  deal(std::ssize(parts_of_features), [&](int64_t number) {
    const Range features = parts_of_features[static_cast<size_t>(number)];
    for (int64_t i = features.first; i < features.last; ++i) {
      int64_t place = offsets[i];
      int64_t before = 0;  // codes of earlier parts
      for (const FeatureLists* part : parts) {
        const auto* part_offsets = part->offsets.const_data_ptr<int64_t>();
        const auto* part_token = part->token.const_data_ptr<int32_t>();
        const Real* part_weight = part->weight.const_data_ptr<Real>();
        for (int64_t j = part_offsets[i]; j < part_offsets[i + 1]; ++j, ++place) {
          token[place] = part_token[j];
          weight[place] = part_weight[j];
          entry[place] = before + j;
        }
        before += part->token.size(0);
      }
    }
  });
}

template <typename Real>
void add_sums_typed(const LayerCodes& codes, const at::Tensor& weight, const at::Tensor& sums) {
  const auto* index = codes.index.const_data_ptr<int32_t>();
  const Real* from = weight.const_data_ptr<Real>();
  const int64_t features = sums.size(0);
  Real* out = sums.mutable_data_ptr<Real>();
  for (int64_t j = 0; j < codes.count(); ++j) {
    CROSSLOOM_CHECK(index[j] >= 0 && index[j] < features, "feature {} of {}", index[j], features);
    out[index[j]] += from[j];
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
                     .weight = at::empty_like(weight),
                     .entry = at::empty({codes.count()}, at::kLong)};
  dispatch_real(weight.scalar_type(),
                [&](auto real) { fill_lists<decltype(real)>(codes, weight, lists); });
  return lists;
}

FeatureLists merge_lists(const std::vector<const FeatureLists*>& parts) {
  int64_t count = 0;
  at::Tensor offsets = at::zeros_like(parts.front()->offsets);
  for (const FeatureLists* part : parts) {
    offsets.add_(part->offsets);
    count += part->token.size(0);
  }
  FeatureLists merged{.offsets = offsets,
                      .token = at::empty({count}, at::kInt),
                      .weight = at::empty({count}, parts.front()->weight.options()),
                      .entry = at::empty({count}, at::kLong)};
  dispatch_real(merged.weight.scalar_type(),
                [&](auto real) { fill_merged<decltype(real)>(parts, merged); });
  return merged;
}

int64_t work_of(const FeatureLists& lists) {
  const auto* offsets = lists.offsets.const_data_ptr<int64_t>();
  const int64_t features = lists.offsets.size(0) - 1;
  return offsets[features] - offsets[0] + kFeatureWork * features;
}

std::vector<Range> equal_parts(const FeatureLists& lists, int64_t parts) {
  const auto* offsets = lists.offsets.const_data_ptr<int64_t>();
  const int64_t features = lists.offsets.size(0) - 1;
  // The first feature before which `work` is done: offsets ascend, so the sum does, too.
  const auto feature_at = [&](int64_t work) {
    int64_t low = 0;
    int64_t high = features;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (offsets[middle] - offsets[0] + kFeatureWork * middle < work) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  };
  const int64_t whole = work_of(lists);
  const int64_t count = std::clamp<int64_t>(whole / kWorkGrain, 1, std::max<int64_t>(parts, 1));
  std::vector<Range> ranges;
  int64_t first = 0;
  for (int64_t part = 1; part <= count; ++part) {
    const int64_t last = part < count ? feature_at(whole * part / count) : features;
    if (first < last) {
      ranges.push_back({first, last});
    }
    first = last;
  }
  return ranges;
}

void add_weight_sums(const LayerCodes& codes, const at::Tensor& weight, const at::Tensor& sums) {
  check_shape(weight, {codes.count()}, "weight");
  CROSSLOOM_CHECK(weight.is_contiguous() && codes.index.is_contiguous() && sums.is_contiguous(),
                  "codes and sums must be contiguous");
  dispatch_real(sums.scalar_type(),
                [&](auto real) { add_sums_typed<decltype(real)>(codes, weight, sums); });
}

}  // namespace crossloom::architectures::kernels
