// Codes: what an encoder emits and everything after it consumes. Per layer a CSR list over tokens;
// fixed-K padding is a special case of it, not the format.
//
// Candidates are codes before selection: what `propose` offers. Ranks that hold parts of F merge
// their candidates (outside this room) before `filter`.
#pragma once

#include <cstdint>
#include <vector>

#include "common/tensor.h"

namespace crossloom::architectures {

/// Codes of one layer. Within a row, feature indices ascend.
struct LayerCodes {
  at::Tensor offsets;  // int64 [T + 1]
  at::Tensor index;    // int32 [nnz], feature within the layer
  at::Tensor value;    // real  [nnz], activation; > 0, or 0: silent, but its gradient is wanted
  at::Tensor pre{};    // real  [nnz], pre-activation h; undefined: it is the value
  at::Tensor dense{};  // real  [T, F], the values as a matrix; undefined where sparse is faster

  int64_t tokens() const { return offsets.size(0) - 1; }
  int64_t count() const { return index.size(0); }
};

/// Codes of all layers, [L].
using Codes = std::vector<LayerCodes>;

/// Gradients of the loss with respect to Codes' values: per layer real [nnz].
using CodeGradients = std::vector<at::Tensor>;

using Candidates = LayerCodes;

/// Candidates of disjoint parts of one layer's features → those of all of them.
Candidates merge_candidates(const std::vector<Candidates>& parts);

/// The entries that `keep` (bool [nnz]) marks.
LayerCodes select_entries(const LayerCodes& codes, const at::Tensor& keep);

/// How often each feature is active: int64 [F]. Silent entries do not count.
at::Tensor active_counts(const LayerCodes& codes, int64_t features);

/// Entries of each row: int64 [T].
inline at::Tensor row_counts(const LayerCodes& codes) {
  return codes.offsets.narrow(0, 1, codes.tokens()) - codes.offsets.narrow(0, 0, codes.tokens());
}

}  // namespace crossloom::architectures
