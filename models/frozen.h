// The frozen linearisation: the model as an affine function of its embedding and of its MLP
// outputs, with attention patterns and norm denominators held at a clean run's values
// (attribution.md 3).
//
// `record_frozen_run` keeps those values. `frozen_forward` runs the ordinary forward with hooks
// that put them back and with the MLP outputs given from outside: under autograd it is the oracle
// that checks the hand-written adjoint (eval/adjoint.h).
#pragma once

#include <vector>

#include "models/transformer.h"

namespace crossloom::models {

/// One clean run. S positions; types are the model's residual type.
struct FrozenRun {
  at::Tensor tokens;                      // int64 [S]
  HookPoint input = HookPoint::kMlpIn;    // where features read
  std::vector<at::Tensor> pattern;        // [L] of [H, S, S]
  std::vector<at::Tensor> ln1_scale;      // [L] of [S, 1]
  std::vector<at::Tensor> ln2_scale;      // [L] of [S, 1]
  std::vector<at::Tensor> feature_input;  // [L] of [S, D], u_l at the input hook
  std::vector<at::Tensor> mlp_out;        // [L] of [S, D], o_l
  at::Tensor embedding;                   // [S, D], the residual entering layer 0
  at::Tensor final_scale;                 // [1, 1], of the last position
  at::Tensor logits;                      // [V], of the last position
};

/// Throws ConfigError unless `input` is resid_mid, ln2_normalized or mlp_in.
FrozenRun record_frozen_run(const Transformer& model, const at::Tensor& tokens, HookPoint input);

struct FrozenOutputs {
  std::vector<at::Tensor> feature_input;  // [L] of [S, D]
  at::Tensor logits;                      // [V], of the last position
};

/// The frozen model on other embeddings [S, D] and MLP outputs [L] of [S, D]; differentiable in
/// both. `linear_paths` [L] of [D, D] (or empty): at positions ≥ 1 the MLP output of layer l is
/// mlp_out[l] + linear_paths[l] · u_l, u_l the feature input.
FrozenOutputs frozen_forward(const Transformer& model, const FrozenRun& run,
                             const at::Tensor& embedding, const std::vector<at::Tensor>& mlp_out,
                             const std::vector<at::Tensor>& linear_paths = {});

}  // namespace crossloom::models
