// One prompt → one attribution graph: clean run, features and errors, targets, rows in the order of
// their influence until M of them are known, assembled and checked (attribution.md 9, 10).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/options.h"
#include "eval/attribution_rows.h"
#include "eval/graph_assembly.h"
#include "eval/trained_transcoder.h"
#include "models/tokenizer.h"

namespace crossloom::eval {

struct AttributionOptions : Options {
  int64_t max_n_logits = 10;
  double desired_logit_prob = 0.95;
  int64_t max_feature_nodes = 7500;
  int64_t batch_size = 64;
  int64_t update_interval = 4;

  void visit(OptionVisitor& v) override {
    v.field("max_n_logits", max_n_logits, "targets at most");
    v.field("desired_logit_prob", desired_logit_prob, "targets cover this probability");
    v.field("max_feature_nodes", max_feature_nodes, "features that get a row (M)");
    v.field("batch_size", batch_size, "rows computed together; never changes the result");
    v.field("update_interval", update_interval, "batches between re-rankings");
  }
};

/// Throws ConfigError naming an option that is out of range.
void check_attribution_options(const AttributionOptions& options);

/// Salient targets of logits [V]: the shortest prefix of the tokens by descending probability
/// (ties: lower id first) that reaches `desired_logit_prob`, at most `max_n_logits`. Texts left
/// empty.
std::vector<TargetNode> salient_targets(const at::Tensor& logits,
                                        const AttributionOptions& options);

/// Demeaned unembedding rows of the targets, [Q, D]: W_U[id] − mean_v W_U[v].
at::Tensor target_vectors(const models::Transformer& model, const std::vector<TargetNode>& targets);

/// The whole graph. `tokens` int64 [S] with their BOS; `folded` reads the model's own activations.
/// `on_rows(done, total)` is called as rows become known.
/// Throws ConfigError as check_attribution_options does.
Graph attribute(const models::Transformer& model, const models::Tokenizer& tokenizer,
                const TrainedTranscoder& folded, const at::Tensor& tokens,
                const AttributionOptions& options,
                const std::function<void(int64_t, int64_t)>& on_rows = {});

}  // namespace crossloom::eval
