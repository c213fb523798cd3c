// Nested reconstruction: the first n features of every layer must do alone, too (transcoders.md
// 6.5).
//
//   ŷ_g = b + Σ_l W_dec[:n_g] a[:n_g] (+ skip),   Loss = 1/G Σ_g Σ_l Σ_t ‖y − ŷ_g‖² / N_l
//   n_1 < … < n_G = F
//
// The whole group G is the ordinary reconstruction; this file adds groups 1 … G − 1. The codes are
// the same for all groups.
#pragma once

#include <vector>

#include "architectures/transcoder.h"

namespace crossloom::architectures {

struct NestedTerm {
  std::vector<double> squared;  // [L] Σ over groups of Σ_t ‖y − ŷ_g‖²
  CodeGradients value_grad;     // [L] of [nnz] of all codes
};

/// x, y [L] of [T, D]; prefixes n_1 … n_{G−1}; denominators [L] G·N_l. Gradients of the parameters
/// go to the sink.
NestedTerm nested_reconstruction(const Transcoder& transcoder, const Codes& codes,
                                 const std::vector<at::Tensor>& x, const std::vector<at::Tensor>& y,
                                 const std::vector<int64_t>& prefixes,
                                 const std::vector<double>& denominators, ParameterSink& sink);

}  // namespace crossloom::architectures
