// Graph JSON: what circuit-tracer's viewer, Neuronpedia and self-hosted viewers read.
//
//   <folder>/<slug>.json          {metadata, qParams, nodes, links}
//   <folder>/graph-metadata.json  {"graphs": [metadata, …]}, one entry per slug
//
// Links are written one by one from the pruned graph: no tree of them is built in memory. Both
// files appear atomically. Weights are raw and signed; a node's `influence` is its *cumulative
// share* on the unpruned graph (small = important), which is what the viewers' slider expects.
//
// Two profiles exist because viewers look at `schema_version` first: with it (the default) features
// come from the site or from local files; with `feature_json_base_url` set it is left out and they
// come from that address.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/json_file.h"
#include "eval/graph.h"
#include "eval/pruning.h"
#include "eval/scores.h"

namespace crossloom::eval {

struct GraphJsonOptions {
  std::string slug = {};                          // letters, digits, '_', '.', '-'
  std::string scan = {};                          // which transcoder set
  std::vector<std::string> transcoder_list = {};  // per layer when custom, else empty
  std::string description = {};
  std::string generator_version = "0.1";
  int64_t create_time_ms = -1;             // since 1970; < 0: not written
  std::string neuronpedia_set = {};        // source set on the site; needs a scan without '/'
  std::string feature_json_base_url = {};  // self-hosted profile
  bool bias_node = false;                  // one node of type "bias" with a link per kept row

  int64_t max_n_logits = 10;  // the settings the graph was computed with
  double desired_logit_prob = 0.95;
  int64_t batch_size = 256;
  int64_t max_feature_nodes = 7500;
};

/// Throws ConfigError unless `slug` is a usable name: only letters, digits, '_', '.', '-'; not
/// hidden, not "graph-metadata", at most 200 characters.
void require_slug(const std::string& slug);

/// The `metadata` object. `scores` are those of the unpruned graph. Throws ConfigError.
Json graph_metadata(const Graph& graph, const PrunedGraph& pruned, const GraphScores& scores,
                    const GraphJsonOptions& options);

/// Writes `<folder>/<slug>.json`, then the index; creates the folder. Returns the graph's path.
/// Throws ConfigError (slug, profile) or DataError (files).
std::string write_graph_json(const std::string& folder, const Graph& graph,
                             const PrunedGraph& pruned, const GraphScores& scores,
                             const GraphJsonOptions& options);

/// Puts `metadata` into `<folder>/graph-metadata.json`, in place of the entry of the same slug.
/// Throws DataError, leaving the file alone, when what is there is no such index.
void update_graph_index(const std::string& folder, const Json& metadata);

/// The id of a node: `{l}_{index}_{p}`, `{l}_-1_{p}`, `E_{id}_{p}`, `{L+1}_{id}_{S-1}`.
std::string node_id(const Graph& graph, int64_t node);

}  // namespace crossloom::eval
