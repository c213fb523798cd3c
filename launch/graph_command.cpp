// crossloom graph: the attribution graph of one prompt, with its scores, as graph JSON for the
// viewers and as a raw archive.
#include <chrono>
#include <filesystem>

#include "common/format.h"
#include "common/json_file.h"
#include "common/log.h"
#include "common/output_file.h"
#include "common/progress.h"
#include "eval/attribute.h"
#include "eval/graph_archive.h"
#include "eval/graph_json.h"
#include "eval/graph_json_check.h"
#include "launch/commands.h"
#include "launch/trained_session.h"
#include "launch/writable.h"
#include "models/generate.h"
#include "trainer/train_options.h"

namespace crossloom::launch {
namespace {

constexpr double kResidualTolerance = 1e-5;  // float32; design: row-sum identity
constexpr size_t kGraphLimit_bytes = size_t{4} << 30;

struct GraphOptions : eval::AttributionOptions {
  std::string run;
  std::string model;
  std::string prompt;
  std::string output = "graphs";
  std::string slug = "graph";
  std::string dtype = "float32";
  double node_threshold = 0.8;
  double edge_threshold = 0.98;
  int64_t max_edges = 0;
  bool bias_node = true;
  void visit(OptionVisitor& v) override {
    v.field("run", run, "run folder or checkpoint of crossloom train");
    v.field("model", model, "host model folder");
    v.field("prompt", prompt, "the text to explain the next token of");
    v.field("output", output, "folder of the graph files");
    v.field("slug", slug, "name of the graph");
    v.field("dtype", dtype, "float32 or float64");
    v.field("node_threshold", node_threshold, "share of influence the kept nodes carry");
    v.field("edge_threshold", edge_threshold, "share of edge scores the kept edges carry");
    v.field("max_edges", max_edges, "edges written at most; 0: all that pass the threshold");
    v.field("bias_node", bias_node, "write the bias as a node of its own");
    eval::AttributionOptions::visit(v);
  }
};

eval::GraphJsonOptions json_options(const GraphOptions& options,
                                    const eval::TrainedTranscoder& trained) {
  eval::GraphJsonOptions json;
  json.slug = options.slug;
  json.scan = trained.identity.model + "-" + trained.transcoder->options().architecture;
  json.bias_node = options.bias_node;
  json.create_time_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                            std::chrono::system_clock::now().time_since_epoch())
                            .count();
  json.max_n_logits = options.max_n_logits;
  json.desired_logit_prob = options.desired_logit_prob;
  json.batch_size = options.batch_size;
  json.max_feature_nodes = options.max_feature_nodes;
  return json;
}

void print_summary(const eval::Graph& graph, const eval::PrunedGraph& pruned,
                   const eval::GraphScores& scores) {
  fmt::print("prompt {:?}: {} positions, {} active features, {} with a row\n", graph.prompt,
             graph.token_ids.size(), graph.active.size(), graph.selected.size());
  for (const auto& target : graph.targets) {
    fmt::print("  next {:?}  p = {:.3f}\n", target.text, target.probability);
  }
  int64_t kept = 0;
  for (const uint8_t keep : pruned.keep) {
    kept += keep;
  }
  fmt::print("pruned ({}, {}): {} nodes, {} edges\n", pruned.options.node_threshold,
             pruned.options.edge_threshold, kept, pruned.edges.size());
  fmt::print("replacement score {:.4f}\n", scores.replacement);
  fmt::print(
      "completeness {:.4f} (all nodes), {:.4f} (strict: features and targets), {:.4f} "
      "(without target weights)\n",
      scores.completeness, scores.completeness_strict, scores.completeness_eleuther);
  fmt::print("largest row residual {:.2e} of Σ|effects| + Σ|bias parts|\n", graph.max_residual);
}

/// The written file read again and checked as a viewer would.
void check_written(const std::string& path) {
  const auto problems = eval::validate_graph_json(read_json_file(path, kGraphLimit_bytes));
  CROSSLOOM_CHECK(problems.empty(), "{} breaks the graph format: {}", path,
                  fmt::join(problems, "; "));
}

Json scores_json(const eval::Graph& graph, const eval::GraphScores& scores) {
  return {{"replacement_score", scores.replacement},
          {"completeness_score", scores.completeness},
          {"completeness_strict", scores.completeness_strict},
          {"completeness_without_weights", scores.completeness_eleuther},
          {"bias_share", scores.bias_share},
          {"max_row_residual", graph.max_residual},
          {"active_features", graph.active.size()},
          {"rows", graph.selected.size()}};
}

void check(const GraphOptions& options) {
  require_set("run", options.run, "run folder");
  require_one_of("dtype", options.dtype, {"float32", "float64"});
  eval::require_slug(options.slug);
  eval::check_attribution_options(options);
  trainer::require_range("node_threshold", options.node_threshold, 0.0, 1.0);
  trainer::require_range("edge_threshold", options.edge_threshold, 0.0, 1.0);
  require_at_least("max_edges", options.max_edges, 0);
}

eval::Graph make_graph(const GraphOptions& options, const ModelSession& session,
                       const eval::TrainedTranscoder& folded, const at::Tensor& tokens) {
  std::unique_ptr<Progress> progress;  // how many rows there are is known with the first ones
  return eval::attribute(
      session.model, session.tokenizer, folded, tokens, options, [&](int64_t done, int64_t total) {
        progress =
            progress ? std::move(progress) : std::make_unique<Progress>("graph", total, "rows");
        progress->update(done);
      });
}

/// JSON for viewers, raw archive, scores. Returns the path of the first.
std::string write_graph(const GraphOptions& options, const eval::TrainedTranscoder& trained,
                        const eval::Graph& graph, const eval::PrunedGraph& pruned,
                        const eval::GraphScores& scores) {
  const auto json = json_options(options, trained);
  const auto path = eval::write_graph_json(options.output, graph, pruned, scores, json);
  check_written(path);
  const std::filesystem::path folder(options.output);
  eval::write_graph_archive((folder / (options.slug + ".safetensors")).string(), graph,
                            {.real = options.dtype == "float64" ? DType::kF64 : DType::kF32,
                             .scan = json.scan,
                             .settings = Json{{"options", options_to_yaml(options)}}});
  write_json_file((folder / (options.slug + ".scores.json")).string(), scores_json(graph, scores));
  return path;
}

void run(GraphOptions& options, Context& context) {
  check(options);
  if (context.communicator.rank() != 0) {
    return;
  }
  auto trained = open_trained(options.run, compute_type("dtype", options.dtype));
  const auto session = open_model_for(trained, options.model, options.dtype);
  const auto ids = prompt_ids(session, options.prompt);
  if (context.dry_run) {
    log::info("{}: {} tokens, BOS included; at most {} features get a row", trained.folder,
              ids.size(), options.max_feature_nodes);
    return;
  }
  require_writable((std::filesystem::path(options.output) / (options.slug + ".json")).string());
  eval::fold_normalization(trained);
  const auto graph = make_graph(options, session, trained, models::token_tensor(ids));
  const auto pruned = eval::prune(
      graph.matrix, {options.node_threshold, options.edge_threshold, options.max_edges});
  const auto scores = eval::score_graph(graph.matrix);
  const auto path = write_graph(options, trained, graph, pruned, scores);
  print_summary(graph, pruned, scores);
  fmt::print("written: {}\n", path);
  const bool exact = options.dtype == "float64" || graph.max_residual <= kResidualTolerance;
  if (!exact) {
    log::warning(fmt::format("the largest row residual is above {}: use --dtype float64",
                             kResidualTolerance));
  }
}

}  // namespace

Command graph_command() {
  return make_command<GraphOptions>("graph", "attribution graph of one prompt", {"run"}, run);
}

}  // namespace crossloom::launch
