// Names, profiles, the metadata object and the index of graph JSON; the graph itself is written in
// graph_json.cpp.
#include <algorithm>
#include <filesystem>

#include "common/error.h"
#include "eval/graph_json.h"

namespace crossloom::eval {
namespace {

constexpr size_t kSlugLimit_chars = 200;
constexpr size_t kIndexLimit_bytes = 256 << 20;
constexpr const char* kIndexName = "graph-metadata";

bool plain_name(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  });
}

[[noreturn]] void fail_profile(const std::string& what, const std::string& hint) {
  throw ConfigError(
      {.what = what, .expected = {}, .got = {}, .where = "graph JSON options", .hint = hint});
}

void require_profile(const GraphJsonOptions& options) {
  require_slug(options.slug);
  if (options.scan.empty()) {
    fail_profile("A graph needs the name of its transcoder set ('scan')",
                 "Give the set's name or folder.");
  }
  if (!options.neuronpedia_set.empty() && !options.feature_json_base_url.empty()) {
    fail_profile("A graph takes its features either from a site or from an address",
                 "Set 'neuronpedia_set' or 'feature_json_base_url', not both.");
  }
  if (!options.neuronpedia_set.empty() && !plain_name(options.scan)) {
    fail_profile(fmt::format("The site refuses the scan '{}'", options.scan),
                 "Use the site's model id: letters, digits, '_', '.', '-'.");
  }
}

}  // namespace

void require_slug(const std::string& slug) {
  if (slug.empty() || slug.size() > kSlugLimit_chars || slug[0] == '.' || slug == kIndexName ||
      !plain_name(slug)) {
    throw ConfigError({.what = fmt::format("'{}' cannot name a graph", slug),
                       .expected = "letters, digits, '_', '.' and '-' only, not starting with '.', "
                                   "not 'graph-metadata'",
                       .got = slug,
                       .where = "slug",
                       .hint = "For example: capital-of-france."});
  }
}

Json graph_metadata(const Graph& graph, const PrunedGraph& pruned, const GraphScores& scores,
                    const GraphJsonOptions& options) {
  require_profile(options);
  Json info = {{"generator", {{"name", "crossloom"}, {"version", options.generator_version}}}};
  if (options.create_time_ms >= 0) {
    info["create_time_ms"] = options.create_time_ms;
  }
  if (!options.description.empty()) {
    info["description"] = options.description;
  }
  Json metadata = {
      {"slug", options.slug},
      {"scan", options.scan},
      {"transcoder_list", options.transcoder_list},
      {"prompt_tokens", graph.token_texts},
      {"prompt", graph.prompt},
      {"node_threshold", pruned.options.node_threshold},
      {"replacement_score", scores.replacement},
      {"completeness_score", scores.completeness},
      {"generation_settings",
       {{"max_n_logits", options.max_n_logits},
        {"desired_logit_prob", options.desired_logit_prob},
        {"batch_size", options.batch_size},
        {"max_feature_nodes", options.max_feature_nodes}}},
      {"pruning_settings",
       {{"node_threshold", pruned.options.node_threshold},
        {"edge_threshold", pruned.options.edge_threshold}}},
  };
  if (options.feature_json_base_url.empty()) {
    metadata["schema_version"] = 1;
  } else {
    metadata["feature_details"] = {{"feature_json_base_url", options.feature_json_base_url}};
  }
  if (!options.neuronpedia_set.empty()) {
    metadata["feature_details"] = {{"neuronpedia_source_set", options.neuronpedia_set}};
    info["neuronpedia_source_set"] = options.neuronpedia_set;  // the site's database reads this one
  }
  metadata["info"] = std::move(info);
  metadata["crossloom"] = {
      // viewers ignore what they do not know
      {"completeness_strict", scores.completeness_strict},
      {"completeness_eleuther", scores.completeness_eleuther},
      {"mean_path_length_edges",
       scores.mean_path_length_edges ? Json(*scores.mean_path_length_edges) : Json()},
      {"bias_share", scores.bias_share},
      {"max_row_residual", graph.max_residual},
      {"active_features", graph.active.size()},
      {"selected_features", graph.selected.size()},
      {"dropped_columns", graph.dropped == DroppedColumns::kFold ? "folded" : "left out"}};
  return metadata;
}

void update_graph_index(const std::string& folder, const Json& metadata) {
  const auto path = (std::filesystem::path(folder) / (std::string(kIndexName) + ".json")).string();
  Json index = {{"graphs", Json::array()}};
  if (std::filesystem::exists(path)) {
    index = read_json_file(path, kIndexLimit_bytes);
    if (!index.is_object() || !index.contains("graphs") || !index["graphs"].is_array()) {
      fail_json_field("graphs", "a list of graphs", "something else", path);
    }
  }
  Json& graphs = index["graphs"];
  const auto same = std::find_if(graphs.begin(), graphs.end(), [&](const Json& entry) {
    return entry.is_object() && entry.value("slug", Json()) == metadata["slug"];
  });
  if (same == graphs.end()) {
    graphs.push_back(metadata);
  } else {
    *same = metadata;
  }
  write_json_file(path, index);
}

}  // namespace crossloom::eval
