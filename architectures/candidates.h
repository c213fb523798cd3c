// The order of candidates and their merge. One order everywhere: larger value first, ties to the
// lower feature index, so that a selection depends neither on rank count nor on kernel.
#pragma once

#include <vector>

#include "architectures/codes.h"

namespace crossloom::architectures {

template <typename Real>
struct Candidate {
  Real value;
  int32_t index;  // feature within the layer

  /// Whether this one is chosen before `other`.
  bool beats(const Candidate& other) const {
    return value > other.value || (value == other.value && index < other.index);
  }
};

/// Proposals of disjoint parts of one layer's features → the best `capacity` per token, best first.
/// Parts: index int32 [T, C_p] (−1: none), value real [T, C_p]; result [T, capacity].
Candidates merge_candidates(const std::vector<Candidates>& parts, int64_t capacity);

}  // namespace crossloom::architectures
