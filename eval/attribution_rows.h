// Rows of direct effects on the frozen model (attribution.md 6–8): for each target, one adjoint
// pass contracted with what every source writes.
//
//   A[t, feature s] = a_s Σ_k G_k[p_s]·W_dec^{s→k}      A[t, error (k,p)] = G_k[p]·e_{k,p}
//   A[t, token p]   = G_E[p]·E_p      (a skip is part of the linear path: G passes through it)
//   bias(t) = Σ G_k[p≥1]·b_dec_k + Σ G_k[0]·o_k[0] + b_O, b_V terms + own b_enc
//   pre-activation(t) = Σ_s A[t, s] + bias(t)
//
// Columns are those of the full layout: active features, errors (layer-major), tokens. Position 0
// has neither features nor errors; its MLP outputs go to the bias. Decoder vectors that write to
// layer k are gathered once, grouped by position, so that each contraction is a GEMM of B × D with
// D × n.
#pragma once

#include <vector>

#include "architectures/transcoder.h"
#include "eval/adjoint.h"
#include "eval/graph_assembly.h"

namespace crossloom::eval {

/// The prompt's features and errors on the clean run.
struct LocalModel {
  const models::Transformer& model;
  const architectures::Transcoder& transcoder;  // folded, of the run's type
  const models::FrozenRun& run;
  std::vector<FeatureNode> active;       // ascending (layer, position, index)
  std::vector<at::Tensor> errors;        // [L] of [S, D], row 0 is 0
  std::vector<at::Tensor> decoder_bias;  // [L] of [D]
};

/// Encodes the run; throws DataError when the transcoder does not fit the model.
LocalModel make_local_model(const models::Transformer& model,
                            const architectures::Transcoder& transcoder,
                            const models::FrozenRun& run);

class RowEngine {
 public:
  explicit RowEngine(const LocalModel& local);

  NodeLayout full_layout(int64_t targets) const;

  /// Rows of active features (numbers in local.active), any mix of layers; at most `batch`
  /// together.
  void add_feature_rows(const std::vector<int64_t>& features, int64_t batch,
                        AttributionRows& rows) const;

  /// Rows of logit targets: vectors v [Q, D] at the final norm's output, with the measured v·f.
  void add_target_rows(const at::Tensor& vectors, const std::vector<double>& measured,
                       AttributionRows& rows) const;

 private:
  /// What is written to one layer's mlp_out, grouped by position.
  struct Writes {
    at::Tensor columns;          // int64 [n], feature numbers
    at::Tensor vectors;          // [n, D], a_s · W_dec^{s→k}
    std::vector<int64_t> begin;  // [S + 1], rows of each position
  };
  Writes gather_writes(int64_t layer) const;
  at::Tensor descend(int64_t from_layer, AdjointState& state) const;
  void contract(int64_t layer, AdjointState& state, at::Tensor& row) const;
  void add_layer_rows(int64_t layer, const std::vector<int64_t>& features,
                      AttributionRows& rows) const;

  const LocalModel& local_;
  FrozenAdjoint adjoint_;
  std::vector<Writes> writes_;  // [L]
};

}  // namespace crossloom::eval
