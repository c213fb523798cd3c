// AuxK of the TopK types: dead features learn to reconstruct what is missing (transcoders.md 6.4).
//
//   e = y − ŷ (constant),   ê = decode of the k_aux largest positive pre-activations among dead
//   features per layer and token, without bias and skip, to all of their targets
//   Loss_aux = α · Σ_l m_l · Σ_t ‖ê_t − e_t‖² / Σ_t ‖e_t − ē‖²,   m_l = min(dead_l / k_aux, 1)
//
// Usual: α = 1/32, k_aux = 512 or D/2.
#pragma once

#include <vector>

#include "architectures/transcoder.h"

namespace crossloom::architectures {

/// Codes of the dead features alone: dead bool [F]; at most k per token. A layer without dead
/// features has none.
LayerCodes dead_feature_codes(const Transcoder& transcoder, int64_t layer, const at::Tensor& x,
                              const at::Tensor& dead, int64_t k);

struct AuxKTerm {
  at::Tensor dead;                // bool [L, F]
  int64_t kept = 0;               // k_aux
  std::vector<double> weights{};  // [L] α m_l / Σ_t ‖e_t − ē‖²
};

/// x, y, y_hat [L] of [T, D]. Gradients of the parameters go to the sink; returns Σ_t ‖ê − e‖² of
/// each layer.
std::vector<double> auxiliary_reconstruction(const Transcoder& transcoder, const AuxKTerm& term,
                                             const std::vector<at::Tensor>& x,
                                             const std::vector<at::Tensor>& y,
                                             const std::vector<at::Tensor>& y_hat,
                                             ParameterSink& sink);

}  // namespace crossloom::architectures
