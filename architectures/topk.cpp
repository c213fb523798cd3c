#include "architectures/topk.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "architectures/candidates.h"
#include "architectures/kernels/dispatch.h"
#include "common/error.h"

namespace crossloom::architectures {
namespace {

constexpr int64_t kTokenGrain = 16;  // tokens a thread takes at least

[[noreturn]] void refuse_non_finite(int64_t layer, int64_t token, int64_t feature, double value) {
  throw DataError(
      {.what = "non-finite pre-activation",
       .expected = "finite numbers",
       .got = fmt::format("{}", value),
       .where = fmt::format("layer {}, token {} of the batch, feature {}", layer, token, feature),
       .hint = "check the activations for NaN or overflow; if training diverged, lower "
               "the learning rate and resume from the last checkpoint"});
}

/// The best `capacity` positive entries of h [F'], best first, into `heap`.
template <typename Real>
void select_row(const Real* h, int64_t features, int64_t capacity,
                std::vector<Candidate<Real>>& heap) {
  // A heap whose front is the worst kept entry; a later index never replaces an equal value.
  const auto better = [](const Candidate<Real>& a, const Candidate<Real>& b) { return a.beats(b); };
  heap.clear();
  Real bar = 0;  // an entry must exceed it
  for (int64_t i = 0; i < features; ++i) {
    if (!(h[i] > bar)) {
      continue;
    }
    if (static_cast<int64_t>(heap.size()) == capacity) {
      std::pop_heap(heap.begin(), heap.end(), better);
      heap.pop_back();
    }
    heap.push_back({h[i], static_cast<int32_t>(i)});
    std::push_heap(heap.begin(), heap.end(), better);
    if (static_cast<int64_t>(heap.size()) == capacity) {
      bar = heap.front().value;
    }
  }
  std::sort_heap(heap.begin(), heap.end(), better);
}

template <typename Real>
void check_finite(const Real* h, int64_t features, int64_t layer, int64_t token,
                  int64_t first_feature) {
  int bad_entries = 0;  // a flag that vectorises
  for (int64_t i = 0; i < features; ++i) {
    bad_entries |= static_cast<int>(!(std::abs(h[i]) <= std::numeric_limits<Real>::max()));
  }
  if (bad_entries == 0) {
    return;
  }
  const Real* bad = std::find_if(h, h + features, [](Real v) { return !std::isfinite(v); });
  refuse_non_finite(layer, token, first_feature + (bad - h), static_cast<double>(*bad));
}

template <typename Real>
void propose_typed(int64_t layer, const at::Tensor& h, int64_t first_feature,
                   const Candidates& candidates) {
  const int64_t features = h.size(1);
  const int64_t capacity = candidates.index.size(1);
  const Real* data = h.const_data_ptr<Real>();
  auto* index = candidates.index.mutable_data_ptr<int32_t>();
  Real* value = candidates.value.mutable_data_ptr<Real>();
  at::parallel_for(0, h.size(0), kTokenGrain, [&](int64_t first, int64_t last) {
    std::vector<Candidate<Real>> best;
    for (int64_t t = first; t < last; ++t) {
      const Real* row = data + t * features;
      check_finite(row, features, layer, t, first_feature);
      select_row(row, features, capacity, best);
      for (size_t c = 0; c < best.size(); ++c) {
        const auto place = static_cast<size_t>(t * capacity) + c;
        index[place] = static_cast<int32_t>(best[c].index + first_feature);
        value[place] = best[c].value;
      }
    }
  });
}

/// Number of candidates of one row that are kept: the first `k` that exist and are positive.
template <typename Real>
int64_t kept_of_row(const int32_t* index, const Real* value, int64_t capacity, int64_t k) {
  int64_t kept = 0;
  while (kept < std::min(k, capacity) && index[kept] >= 0 && value[kept] > Real{0}) {
    const bool ordered = kept == 0 || Candidate<Real>{value[kept - 1], index[kept - 1]}.beats(
                                          {value[kept], index[kept]});
    CROSSLOOM_CHECK(ordered, "candidates must be merged best first");
    ++kept;
  }
  return kept;
}

/// offsets [T + 1] of the kept candidates.
template <typename Real>
at::Tensor kept_offsets(const Candidates& merged, int64_t k) {
  const int64_t tokens = merged.index.size(0);
  const int64_t capacity = merged.index.size(1);
  const auto* index = merged.index.const_data_ptr<int32_t>();
  const Real* value = merged.value.const_data_ptr<Real>();
  const at::Tensor kept = at::zeros({tokens + 1}, at::kLong);
  auto* offsets = kept.mutable_data_ptr<int64_t>();
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t row = t * capacity;
    offsets[t + 1] = offsets[t] + kept_of_row(index + row, value + row, capacity, k);
  }
  return kept;
}

template <typename Real>
LayerCodes filter_typed(const Candidates& merged, int64_t k) {
  const int64_t tokens = merged.index.size(0);
  const int64_t capacity = merged.index.size(1);
  const at::Tensor kept = kept_offsets<Real>(merged, k);
  const auto* offsets = kept.const_data_ptr<int64_t>();
  LayerCodes codes{.offsets = kept,
                   .index = at::empty({offsets[tokens]}, at::kInt),
                   .value = at::empty({offsets[tokens]}, merged.value.options())};
  const auto* from_index = merged.index.const_data_ptr<int32_t>();
  const Real* from_value = merged.value.const_data_ptr<Real>();
  auto* index = codes.index.mutable_data_ptr<int32_t>();
  Real* value = codes.value.mutable_data_ptr<Real>();
  std::vector<std::pair<int32_t, Real>> row;
  for (int64_t t = 0; t < tokens; ++t) {
    row.clear();
    for (int64_t c = 0; c < offsets[t + 1] - offsets[t]; ++c) {
      row.emplace_back(from_index[t * capacity + c], from_value[t * capacity + c]);
    }
    std::sort(row.begin(), row.end());  // ascending index
    for (const auto& [feature, activation] : row) {
      *index++ = feature;
      *value++ = activation;
    }
  }
  return codes;
}

}  // namespace

TopK::TopK(int64_t k, int64_t features) : k_(k) {
  if (k < 1 || k > features) {
    throw ConfigError({.what = "k is out of range",
                       .expected = fmt::format("1 ≤ k ≤ features = {}", features),
                       .got = fmt::format("{}", k),
                       .where = "k",
                       .hint = "choose how many features a token may use per layer, e.g. 16"});
  }
}

Candidates TopK::propose(int64_t layer, const at::Tensor& h, int64_t first_feature) const {
  check_shape(h, {-1, -1}, "h");
  const int64_t capacity = std::min(k_, h.size(1));
  Candidates candidates{.index = at::full({h.size(0), capacity}, -1, at::kInt),
                        .value = at::zeros({h.size(0), capacity}, h.options())};
  kernels::dispatch_real(h.scalar_type(), [&](auto real) {
    propose_typed<decltype(real)>(layer, h.contiguous(), first_feature, candidates);
  });
  return candidates;
}

LayerCodes TopK::filter(int64_t /*layer*/, const Candidates& merged) const {
  check_shape(merged.index, {-1, -1}, "candidates.index");
  check_shape(merged.value, {merged.index.size(0), merged.index.size(1)}, "candidates.value");
  const Candidates rows{.index = merged.index.contiguous(), .value = merged.value.contiguous()};
  LayerCodes codes;
  kernels::dispatch_real(merged.value.scalar_type(),
                         [&](auto real) { codes = filter_typed<decltype(real)>(rows, k_); });
  return codes;
}

std::string TopK::describe() const {
  return fmt::format(
      "TopK: the K = {} largest of ReLU(h) per layer and token, ties to the lower "
      "index, only positive entries",
      k_);
}

}  // namespace crossloom::architectures
