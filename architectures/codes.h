// Codes: what an encoder emits and everything after it consumes. Per layer a CSR list over tokens;
// fixed-K padding is a special case of it, not the format.
//
// Candidates are what `propose` offers before selection: per token at most C (index, value) pairs,
// best first. Ranks that hold parts of F merge their candidates (outside this room) before
// `filter`.
#pragma once

#include <cstdint>
#include <vector>

#include "common/tensor.h"

namespace crossloom::architectures {

/// Codes of one layer. Within a row, feature indices ascend.
struct LayerCodes {
  at::Tensor offsets;  // int64 [T + 1]
  at::Tensor index;    // int32 [nnz], feature within the layer
  at::Tensor value;    // real  [nnz], activation > 0

  int64_t tokens() const { return offsets.size(0) - 1; }
  int64_t count() const { return index.size(0); }
};

/// Codes of all layers, [L].
using Codes = std::vector<LayerCodes>;

/// Gradients of the loss with respect to Codes' values: per layer real [nnz].
using CodeGradients = std::vector<at::Tensor>;

/// Candidates of one layer, larger value first, ties by lower index.
struct Candidates {
  at::Tensor index;  // int32 [T, C], -1 where there is none
  at::Tensor value;  // real  [T, C]
};

}  // namespace crossloom::architectures
