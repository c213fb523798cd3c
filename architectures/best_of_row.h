// The K largest positive entries of a row of numbers: the one rule of selection, for whole rows of
// pre-activations, merged candidates and survivors of a screen.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace crossloom::architectures {

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

}  // namespace crossloom::architectures
