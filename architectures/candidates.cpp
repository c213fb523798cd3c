#include "architectures/candidates.h"

#include <algorithm>

#include "architectures/kernels/dispatch.h"

namespace crossloom::architectures {
namespace {

template <typename Real>
void merge_typed(const Candidates& joined, const Candidates& merged) {
  const int64_t offered = joined.index.size(1);
  const int64_t capacity = merged.index.size(1);
  const auto* index = joined.index.const_data_ptr<int32_t>();
  const Real* value = joined.value.const_data_ptr<Real>();
  auto* merged_index = merged.index.mutable_data_ptr<int32_t>();
  Real* merged_value = merged.value.mutable_data_ptr<Real>();
  std::vector<Candidate<Real>> row;
  for (int64_t t = 0; t < joined.index.size(0); ++t) {
    row.clear();
    for (int64_t c = t * offered; c < (t + 1) * offered; ++c) {
      if (index[c] >= 0) {
        row.push_back({value[c], index[c]});
      }
    }
    std::sort(row.begin(), row.end(), [](const auto& a, const auto& b) { return a.beats(b); });
    const int64_t kept = std::min(capacity, static_cast<int64_t>(row.size()));
    for (int64_t c = 0; c < kept; ++c) {
      merged_index[t * capacity + c] = row[static_cast<size_t>(c)].index;
      merged_value[t * capacity + c] = row[static_cast<size_t>(c)].value;
    }
  }
}

}  // namespace

Candidates merge_candidates(const std::vector<Candidates>& parts, int64_t capacity) {
  CROSSLOOM_CHECK(!parts.empty(), "nothing to merge");
  std::vector<at::Tensor> indices;
  std::vector<at::Tensor> values;
  for (const Candidates& part : parts) {
    indices.push_back(part.index);
    values.push_back(part.value);
  }
  const Candidates joined{.index = at::cat(indices, 1), .value = at::cat(values, 1)};  // [T, ΣC_p]
  const int64_t tokens = joined.index.size(0);
  Candidates merged{.index = at::full({tokens, capacity}, -1, at::kInt),
                    .value = at::zeros({tokens, capacity}, joined.value.options())};
  kernels::dispatch_real(joined.value.scalar_type(),
                         [&](auto real) { merge_typed<decltype(real)>(joined, merged); });
  return merged;
}

}  // namespace crossloom::architectures
