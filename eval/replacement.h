// The replacement model: the host model with every MLP replaced at once by the transcoder's
// reconstruction, features re-encoded from the drifting stream (evaluation.md 3, regime c).
// Position 0 keeps its own MLP outputs; attention and norms are live. Beside it the mean-ablated
// model: every MLP output replaced by its mean over the corpus.
//
//   KL = mean_t Σ_v p_base log(p_base / p_repl)  in nats, full vocabulary
//   ΔCE = CE_repl − CE_base (next token, nats);  top-1 = share of equal argmax
// over positions ≥ 1 of held-out windows.
#pragma once

#include <vector>

#include "common/communicator.h"
#include "common/json_file.h"
#include "data/shard_set.h"
#include "eval/trained_transcoder.h"
#include "models/tokenizer.h"
#include "models/transformer.h"

namespace crossloom::eval {

struct ReplacementScores {
  double kl = 0.0, kl_median = 0.0, kl_p95 = 0.0;  // nats
  double cross_entropy = 0.0;                      // nats
  double delta_cross_entropy = 0.0;
  double top1_agreement = 0.0;
  Json to_json() const;
};

struct ReplacementReport {
  int64_t tokens = 0;          // predictions compared
  double cross_entropy = 0.0;  // of the unchanged model
  ReplacementScores replaced;
  ReplacementScores mean_ablated;
  Json to_json() const;
};

/// Hooks that turn a forward pass into the replacement model. `folded` must be folded
/// (fold_normalization) and of the model's residual type; it must outlive the hooks.
class MlpReplacement {
 public:
  explicit MlpReplacement(const TrainedTranscoder& folded);
  /// For one forward pass over a whole prompt.
  models::Hooks hooks();

 private:
  void encode(int64_t layer, const at::Tensor& u);
  void write(int64_t layer, at::Tensor& o) const;

  const TrainedTranscoder& folded_;
  models::HookPoint input_;
  architectures::Codes codes_;      // of the layers passed so far
  std::vector<at::Tensor> inputs_;  // [layers passed] of [S, D]
};

/// Hooks that replace every MLP output by its corpus mean at positions ≥ 1; `means` [L, D].
models::Hooks mean_ablation_hooks(const at::Tensor& means);

/// Token windows (BOS first) of rows: runs of one document with rising positions. At least two
/// tokens each; at most `limit` windows.
std::vector<std::vector<models::TokenId>> windows_of_rows(const data::ShardSet& shards,
                                                          const data::RowSelection& rows,
                                                          models::TokenId bos_id, int64_t limit);

/// What scores are compared with, the same for every transcoder of one host model: the unchanged
/// and the mean-ablated model's runs over the windows. The unchanged model is kept as the residual
/// before its final norm, [S, D] a window, from which log p follows exactly.
class ReplacementReference {
 public:
  /// `target_mean` [L, D]. Collective: ranks share the windows.
  ReplacementReference(const models::Transformer& model,
                       std::vector<std::vector<models::TokenId>> windows,
                       const at::Tensor& target_mean, Communicator& communicator);

  /// Whether it serves the same host model in `type` with such windows and means.
  bool serves(at::ScalarType type, const std::vector<std::vector<models::TokenId>>& windows,
              const at::Tensor& target_mean) const;

  /// `model` as in the constructor. Collective.
  ReplacementReport evaluate(const models::Transformer& model, const TrainedTranscoder& folded,
                             Communicator& communicator) const;

 private:
  struct Window {
    at::Tensor tokens;    // int64 [S]
    at::Tensor residual;  // [S, D]
  };

  std::vector<std::vector<models::TokenId>> windows_;
  at::Tensor target_mean_;
  at::ScalarType type_;
  std::vector<Window> own_;  // this rank's
  int64_t tokens_ = 0;
  double cross_entropy_ = 0.0;
  ReplacementScores mean_ablated_;
};

}  // namespace crossloom::eval
