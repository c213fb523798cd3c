#include "architectures/topk.h"

#include <utility>
#include <vector>

#include "architectures/row_selection.h"
#include "common/error.h"

namespace crossloom::architectures {
namespace {

/// One order everywhere: larger value first, ties to the lower index, so that a selection depends
/// neither on rank count nor on kernel.
template <typename Real>
struct Candidate {
  Real value;
  int32_t place;  // position in the row

  bool beats(const Candidate& other) const {
    return value > other.value || (value == other.value && place < other.place);
  }
};

/// Positions of the best `capacity` positive entries of row [n], ascending, into `places`; returns
/// how many.
template <typename Real>
int64_t best_of_row(const Real* row, int64_t n, int64_t capacity,
                    std::vector<Candidate<Real>>& heap, int32_t* places) {
  // A heap whose front is the worst kept entry; a later one never replaces an equal value.
  const auto better = [](const Candidate<Real>& a, const Candidate<Real>& b) { return a.beats(b); };
  heap.clear();
  Real bar = 0;  // an entry must exceed it
  for (int64_t i = 0; i < n; ++i) {
    if (!(row[i] > bar)) {
      continue;
    }
    if (static_cast<int64_t>(heap.size()) == capacity) {
      std::pop_heap(heap.begin(), heap.end(), better);
      heap.pop_back();
    }
    heap.push_back({row[i], static_cast<int32_t>(i)});
    std::push_heap(heap.begin(), heap.end(), better);
    if (static_cast<int64_t>(heap.size()) == capacity) {
      bar = heap.front().value;
    }
  }
  for (size_t c = 0; c < heap.size(); ++c) {
    places[c] = heap[c].place;
  }
  std::sort(places, places + heap.size());
  return static_cast<int64_t>(heap.size());
}

template <typename Real>
Candidates propose_typed(const at::Tensor& h, int64_t first_feature, int64_t capacity) {
  const int64_t features = h.size(1);
  const at::Tensor chosen = at::empty({h.size(0), capacity}, at::kInt);  // positions, ascending
  const at::Tensor counts = at::empty({h.size(0)}, at::kLong);
  const Real* data = h.const_data_ptr<Real>();
  auto* places = chosen.mutable_data_ptr<int32_t>();
  auto* count = counts.mutable_data_ptr<int64_t>();
  at::parallel_for(0, h.size(0), kRowGrain, [&](int64_t first, int64_t last) {
    std::vector<Candidate<Real>> heap;
    for (int64_t t = first; t < last; ++t) {
      count[t] = best_of_row(data + t * features, features, capacity, heap, places + t * capacity);
    }
  });
  LayerCodes codes = make_rows(counts, h.options(), false);
  const auto* offsets = codes.offsets.const_data_ptr<int64_t>();
  auto* index = codes.index.mutable_data_ptr<int32_t>();
  Real* value = codes.value.mutable_data_ptr<Real>();
  at::parallel_for(0, h.size(0), kRowGrain, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; ++t) {
      for (int64_t c = 0; c < count[t]; ++c) {
        const int32_t place = places[t * capacity + c];
        index[offsets[t] + c] = static_cast<int32_t>(first_feature + place);
        value[offsets[t] + c] = data[t * features + place];
      }
    }
  });
  return codes;
}

/// Marks the K best of each row: bool [nnz].
template <typename Real>
at::Tensor mark_best(const Candidates& merged, int64_t k) {
  const at::Tensor keep = at::zeros({merged.count()}, at::kBool);
  const auto* offsets = merged.offsets.const_data_ptr<int64_t>();
  const Real* value = merged.value.const_data_ptr<Real>();
  auto* marks = keep.mutable_data_ptr<bool>();
  std::vector<Candidate<Real>> heap;
  std::vector<int32_t> places(static_cast<size_t>(k));
  for (int64_t t = 0; t < merged.tokens(); ++t) {
    const int64_t begin = offsets[t];
    const int64_t kept = best_of_row(value + begin, offsets[t + 1] - begin, k, heap, places.data());
    for (int64_t c = 0; c < kept; ++c) {
      marks[begin + places[static_cast<size_t>(c)]] = true;
    }
  }
  return keep;
}

}  // namespace

void check_kept(int64_t k, int64_t features) {
  if (k < 1 || k > features) {
    throw ConfigError({.what = "k is out of range",
                       .expected = fmt::format("1 ≤ k ≤ features = {}", features),
                       .got = fmt::format("{}", k),
                       .where = "k",
                       .hint = "choose how many features a token may use per layer, e.g. 16"});
  }
}

TopK::TopK(int64_t k, int64_t features) : k_(k), features_(features) {
  check_kept(k, features);
}

Candidates TopK::propose(int64_t layer, const at::Tensor& h, int64_t first_feature,
                         Watch /*watch*/) const {
  check_shape(h, {-1, -1}, "h");
  const at::Tensor rows = h.contiguous();
  check_finite(layer, rows, first_feature);
  Candidates candidates;
  kernels::dispatch_real(h.scalar_type(), [&](auto real) {
    candidates = propose_typed<decltype(real)>(rows, first_feature, std::min(k_, h.size(1)));
  });
  return candidates;
}

LayerCodes TopK::filter(int64_t /*layer*/, const Candidates& merged,
                        std::optional<double> /*bar*/) const {
  if (merged.tokens() == 0 || row_counts(merged).max().item<int64_t>() <= k_) {
    return merged;
  }
  at::Tensor keep;
  kernels::dispatch_real(merged.value.scalar_type(),
                         [&](auto real) { keep = mark_best<decltype(real)>(merged, k_); });
  return select_entries(merged, keep);
}

void TopK::set_kept(int64_t k) {
  check_kept(k, features_);
  k_ = k;
}

std::string TopK::describe() const {
  return fmt::format(
      "TopK: the K = {} largest of ReLU(h) per layer and token, ties to the lower "
      "index, only positive entries",
      k_);
}

}  // namespace crossloom::architectures
