#include "eval/attribute.h"

#include <algorithm>
#include <numeric>

#include "eval/influence.h"

namespace crossloom::eval {
namespace {

/// v·f of each target on the clean run: its logit minus the mean logit, in float64.
std::vector<double> measured_targets(const at::Tensor& logits,
                                     const std::vector<TargetNode>& targets) {
  const at::Tensor exact = logits.to(at::kDouble);
  const double mean = exact.mean().item<double>();
  std::vector<double> measured;
  for (const auto& target : targets) {
    measured.push_back(exact[target.id].item<double>() - mean);
  }
  return measured;
}

/// Computes rows of features, most influential first, until `wanted` are known.
void add_ranked_rows(const RowEngine& engine, const NodeLayout& full,
                     const std::vector<double>& weights, const AttributionOptions& options,
                     int64_t wanted, const std::function<void(int64_t, int64_t)>& on_rows,
                     AttributionRows& rows) {
  std::vector<uint8_t> visited(static_cast<size_t>(full.features), 0);
  int64_t known = 0;
  if (on_rows) {
    on_rows(known, wanted);
  }
  while (known < wanted) {
    const int64_t round = std::min(options.update_interval * options.batch_size, wanted - known);
    std::vector<int64_t> next(static_cast<size_t>(round));
    if (wanted == full.features) {
      std::iota(next.begin(), next.end(), known);
    } else {
      next = best_unvisited(partial_influence(full, rows, weights), visited, round);
    }
    for (const int64_t feature : next) {
      visited[static_cast<size_t>(feature)] = 1;
    }
    engine.add_feature_rows(next, options.batch_size, rows);
    known += static_cast<int64_t>(next.size());
    if (on_rows) {
      on_rows(known, wanted);
    }
  }
}

GraphInput describe_prompt(const models::Tokenizer& tokenizer, const at::Tensor& tokens) {
  GraphInput input;
  std::vector<models::TokenId> ids;
  for (int64_t p = 0; p < tokens.size(0); ++p) {
    ids.push_back(static_cast<models::TokenId>(tokens[p].item<int64_t>()));
    input.token_ids.push_back(ids.back());
    input.token_texts.push_back(tokenizer.decode({ids.back()}));
  }
  input.prompt = tokenizer.decode(ids);
  return input;
}

}  // namespace

void check_attribution_options(const AttributionOptions& options) {
  require_at_least("max_n_logits", options.max_n_logits, 1);
  require_at_least("max_feature_nodes", options.max_feature_nodes, 0);
  require_at_least("batch_size", options.batch_size, 1);
  require_at_least("update_interval", options.update_interval, 1);
  if (!(options.desired_logit_prob > 0.0 && options.desired_logit_prob <= 1.0)) {
    throw ConfigError({.what = "'desired_logit_prob' is out of range",
                       .expected = "above 0, at most 1",
                       .got = fmt::format("{}", options.desired_logit_prob),
                       .where = "desired_logit_prob",
                       .hint = "0.95 is usual."});
  }
}

std::vector<TargetNode> salient_targets(const at::Tensor& logits,
                                        const AttributionOptions& options) {
  const at::Tensor probability = logits.to(at::kDouble).softmax(0);  // [V]
  const auto [sorted, order] = probability.sort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
  const int64_t most = std::min(options.max_n_logits, probability.size(0));
  std::vector<TargetNode> targets;
  double reached = 0.0;
  for (int64_t i = 0; i < most && (targets.empty() || reached < options.desired_logit_prob); ++i) {
    const double p = sorted[i].item<double>();
    reached += p;
    targets.push_back({order[i].item<int64_t>(), {}, p, p});
  }
  return targets;
}

at::Tensor target_vectors(const models::Transformer& model,
                          const std::vector<TargetNode>& targets) {
  const at::Tensor& unembedding = model.weights().unembedding;  // [V, D]
  const at::Tensor mean = unembedding.mean(0, false, at::kDouble);
  std::vector<at::Tensor> vectors;
  for (const auto& target : targets) {
    vectors.push_back((unembedding[target.id].to(at::kDouble) - mean).to(model.type()));
  }
  return at::stack(vectors);
}

Graph attribute(const models::Transformer& model, const models::Tokenizer& tokenizer,
                const TrainedTranscoder& folded, const at::Tensor& tokens,
                const AttributionOptions& options,
                const std::function<void(int64_t, int64_t)>& on_rows) {
  check_attribution_options(options);
  const auto run =
      models::record_frozen_run(model, tokens, models::hook_from_name(folded.identity.hook_in));
  const LocalModel local = make_local_model(model, *folded.transcoder, run);
  const RowEngine engine(local);
  GraphInput input = describe_prompt(tokenizer, tokens);
  input.layers = model.spec().layers;
  input.active = local.active;
  input.targets = salient_targets(run.logits, options);
  std::vector<double> weights;
  for (auto& target : input.targets) {
    target.text = tokenizer.decode({static_cast<models::TokenId>(target.id)});
    weights.push_back(target.weight);
  }
  engine.add_target_rows(target_vectors(model, input.targets),
                         measured_targets(run.logits, input.targets), input.rows);
  const auto full = engine.full_layout(static_cast<int64_t>(input.targets.size()));
  add_ranked_rows(engine, full, weights, options,
                  std::min(options.max_feature_nodes, full.features), on_rows, input.rows);
  return assemble_graph(std::move(input));
}

}  // namespace crossloom::eval
