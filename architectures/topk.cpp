#include "architectures/topk.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "architectures/dispatch.h"

namespace crossloom::architectures {
namespace {

template <typename Real>
struct Candidate {
  Real value;
  int32_t index;
};

/// a before b: larger value, then lower index.
template <typename Real>
bool better(const Candidate<Real>& a, const Candidate<Real>& b) {
  return a.value != b.value ? a.value > b.value : a.index < b.index;
}

/// The k best positive entries of one row, best first, into `best`; false when one is not finite.
/// `best` is a heap whose front is the worst kept one, so most entries cost one comparison.
template <typename Real>
bool best_of_row(const Real* h, int64_t features, size_t k, std::vector<Candidate<Real>>& best) {
  best.clear();
  for (int64_t f = 0; f < features; ++f) {
    if (!std::isfinite(h[f])) {
      return false;
    }
    if (h[f] <= Real(0)) {
      continue;
    }
    const Candidate<Real> candidate{h[f], static_cast<int32_t>(f)};
    if (best.size() < k) {
      best.push_back(candidate);
      std::push_heap(best.begin(), best.end(), better<Real>);
    } else if (better(candidate, best.front())) {
      std::pop_heap(best.begin(), best.end(), better<Real>);
      best.back() = candidate;
      std::push_heap(best.begin(), best.end(), better<Real>);
    }
  }
  std::sort_heap(best.begin(), best.end(), better<Real>);
  return true;
}

template <typename Real>
bool propose_rows(const at::Tensor& h, int64_t k, Candidates& out) {
  const int64_t features = h.size(1);
  const int64_t width = out.index.size(1);
  const auto* rows = h.const_data_ptr<Real>();
  auto* index = out.index.mutable_data_ptr<int32_t>();
  auto* value = out.value.mutable_data_ptr<Real>();
  std::atomic<bool> finite = true;
#pragma omp parallel
  {
    std::vector<Candidate<Real>> best;
    best.reserve(static_cast<size_t>(k));
#pragma omp for
    for (int64_t t = 0; t < h.size(0); ++t) {
      if (!best_of_row(rows + t * features, features, static_cast<size_t>(k), best)) {
        finite = false;
      }
      for (size_t c = 0; c < static_cast<size_t>(width); ++c) {
        const bool present = c < best.size();
        index[t * width + static_cast<int64_t>(c)] = present ? best[c].index : -1;
        value[t * width + static_cast<int64_t>(c)] = present ? best[c].value : Real(0);
      }
    }
  }
  return finite;
}

template <typename Real>
LayerCodes filter_rows(const Candidates& merged, int64_t k) {
  const int64_t tokens = merged.index.size(0);
  const int64_t width = merged.index.size(1);
  const auto* index = merged.index.const_data_ptr<int32_t>();
  const auto* value = merged.value.const_data_ptr<Real>();
  at::Tensor offsets = at::empty({tokens + 1}, at::TensorOptions(at::kLong));
  auto* offset = offsets.mutable_data_ptr<int64_t>();
  offset[0] = 0;
  const auto kept_of = [&](int64_t t) {
    int64_t kept = 0;
    while (kept < std::min(k, width) && index[t * width + kept] >= 0) {
      ++kept;
    }
    return kept;
  };
  for (int64_t t = 0; t < tokens; ++t) {
    offset[t + 1] = offset[t] + kept_of(t);
  }
  LayerCodes codes{offsets, at::empty({offset[tokens]}, merged.index.options()),
                   at::empty({offset[tokens]}, merged.value.options())};
  auto* to_index = codes.index.mutable_data_ptr<int32_t>();
  auto* to_value = codes.value.mutable_data_ptr<Real>();
  std::vector<Candidate<Real>> row;
  for (int64_t t = 0; t < tokens; ++t) {
    row.clear();
    for (int64_t c = 0; c < offset[t + 1] - offset[t]; ++c) {
      row.push_back({value[t * width + c], index[t * width + c]});
    }
    std::sort(row.begin(), row.end(),
              [](const auto& a, const auto& b) { return a.index < b.index; });
    for (size_t c = 0; c < row.size(); ++c) {
      to_index[offset[t] + static_cast<int64_t>(c)] = row[c].index;
      to_value[offset[t] + static_cast<int64_t>(c)] = row[c].value;
    }
  }
  return codes;
}

}  // namespace

Candidates TopK::propose(int64_t layer, const at::Tensor& h) const {
  check_shape(h, {-1, -1}, "h");
  const int64_t width = std::min(k_, h.size(1));
  const at::Tensor rows = h.contiguous();
  Candidates out{at::empty({h.size(0), width}, at::TensorOptions(at::kInt)),
                 at::empty({h.size(0), width}, h.options())};
  const bool finite = dispatch_real(
      h.scalar_type(), [&]<typename Real>(Real) { return propose_rows<Real>(rows, width, out); });
  if (!finite) {
    throw DataError({.what = "A pre-activation is not a finite number",
                     .expected = "finite encoder outputs",
                     .got = "NaN or infinity",
                     .where = fmt::format("layer {}", layer),
                     .hint = "Lower the learning rate, or look for damaged activations."});
  }
  return out;
}

LayerCodes TopK::filter(const Candidates& merged) const {
  return dispatch_real(merged.value.scalar_type(),
                       [&]<typename Real>(Real) { return filter_rows<Real>(merged, k_); });
}

std::string TopK::describe() const {
  return fmt::format("TopK: the {} largest of ReLU(h) per layer and token, ties to the lower index",
                     k_);
}

}  // namespace crossloom::architectures
