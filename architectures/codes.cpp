#include "architectures/codes.h"

#include <algorithm>

#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/ranges.h"

namespace crossloom::architectures {
namespace {

/// Row number of every entry, int64 [nnz].
at::Tensor rows_of(const LayerCodes& codes) {
  return at::repeat_interleave(row_counts(codes));
}

at::Tensor offsets_of(const at::Tensor& counts) {
  return at::cat({at::zeros({1}, at::kLong), counts.cumsum(0)});
}

}  // namespace

Candidates merge_candidates(const std::vector<Candidates>& parts) {
  CROSSLOOM_CHECK(!parts.empty(), "nothing to merge");
  if (parts.size() == 1) {
    return parts.front();
  }
  std::vector<at::Tensor> rows;
  std::vector<at::Tensor> index;
  std::vector<at::Tensor> value;
  std::vector<at::Tensor> pre;
  at::Tensor counts = at::zeros({parts.front().tokens()}, at::kLong);
  for (const Candidates& part : parts) {
    CROSSLOOM_CHECK(part.tokens() == counts.size(0), "parts of {} and of {} tokens", part.tokens(),
                    counts.size(0));
    rows.push_back(rows_of(part));
    index.push_back(part.index);
    value.push_back(part.value);
    pre.push_back(part.pre.defined() ? part.pre : part.value);
    counts += row_counts(part);
  }
  const at::Tensor all_indices = at::cat(index);
  const at::Tensor order = std::get<1>((at::cat(rows) * (int64_t{1} << 32) + all_indices).sort());
  Candidates merged{.offsets = offsets_of(counts),
                    .index = all_indices.index_select(0, order),
                    .value = at::cat(value).index_select(0, order)};
  if (parts.front().pre.defined()) {
    merged.pre = at::cat(pre).index_select(0, order);
  }
  return merged;
}

LayerCodes select_entries(const LayerCodes& codes, const at::Tensor& keep) {
  check_shape(keep, {codes.count()}, "keep");
  const at::Tensor marks = keep.contiguous();
  const bool* mark = marks.const_data_ptr<bool>();
  const auto* offsets = codes.offsets.const_data_ptr<int64_t>();
  const at::Tensor counts = at::empty({codes.tokens()}, at::kLong);
  auto* count = counts.mutable_data_ptr<int64_t>();
  kernels::for_token_ranges(codes.tokens(), [&](kernels::Range range) {
    for (int64_t t = range.first; t < range.last; ++t) {
      count[t] = std::count(mark + offsets[t], mark + offsets[t + 1], true);
    }
  });
  LayerCodes selected{.offsets = offsets_of(counts), .index = {}, .value = {}};
  const auto* places = selected.offsets.const_data_ptr<int64_t>();
  const auto select = [&](const at::Tensor& from, auto type) {
    using Element = decltype(type);
    const at::Tensor to = at::empty({places[codes.tokens()]}, from.options());
    const auto* all = from.const_data_ptr<Element>();
    auto* some = to.mutable_data_ptr<Element>();
    kernels::for_token_ranges(codes.tokens(), [&](kernels::Range range) {
      int64_t place = places[range.first];
      for (int64_t j = offsets[range.first]; j < offsets[range.last]; ++j) {
        if (mark[j]) {
          some[place++] = all[j];
        }
      }
    });
    return to;
  };
  selected.index = select(codes.index, int32_t{});
  kernels::dispatch_real(codes.value.scalar_type(), [&](auto real) {
    selected.value = select(codes.value, real);
    if (codes.pre.defined()) {
      selected.pre = select(codes.pre, real);
    }
  });
  return selected;
}

at::Tensor active_counts(const LayerCodes& codes, int64_t features) {
  const at::Tensor counts = at::zeros({features}, at::kLong);
  auto* count = counts.mutable_data_ptr<int64_t>();
  const auto* index = codes.index.const_data_ptr<int32_t>();
  kernels::dispatch_real(codes.value.scalar_type(), [&](auto real) {
    using Real = decltype(real);
    const Real* value = codes.value.const_data_ptr<Real>();
    for (int64_t j = 0; j < codes.count(); ++j) {
      count[index[j]] += value[j] > Real{0} ? 1 : 0;
    }
  });
  return counts;
}

}  // namespace crossloom::architectures
