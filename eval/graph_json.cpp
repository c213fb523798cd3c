#include "eval/graph_json.h"

#include <filesystem>

#include "common/output_file.h"
#include "eval/pairing.h"

namespace crossloom::eval {
namespace {

constexpr size_t kFlush_bytes = 1 << 20;
constexpr const char* kBiasId = "B_0_0";

/// A JSON string, quotes included; invalid UTF-8 becomes U+FFFD.
std::string quoted(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// `Output "<token>" (p=0.123)`: viewers cut the token out between quotes, so its own are escaped.
std::string target_label(const TargetNode& target) {
  std::string token;
  for (const char c : target.text) {
    if (c == '"' || c == '\\') {
      token += '\\';
    }
    token += c;
  }
  return fmt::format("Output \"{}\" (p={:.3f})", token, target.probability);
}

/// Collects text and hands it to the file in large pieces.
class TextStream {
 public:
  explicit TextStream(OutputFile& file) : file_(file) {}

  template <typename... Args>
  void put(::fmt::format_string<Args...> pattern, Args&&... args) {
    ::fmt::format_to(std::back_inserter(text_), pattern, std::forward<Args>(args)...);
    if (text_.size() >= kFlush_bytes) {
      flush();
    }
  }
  void flush() {
    file_.write(text_);
    text_.clear();
  }

 private:
  OutputFile& file_;
  std::string text_;
};

/// The fields of a node in which kinds differ; the rest is the same for all.
struct NodeFields {
  std::string id = {};
  int64_t feature = -1;
  std::string layer = {};
  int64_t position = 0;
  const char* type = "";
  std::string js_id = {};
  std::string label = {};
  std::string influence = "null";  // cumulative share; targets have none
  std::string activation = "null";
  double probability = 0.0;
  bool first_target = false;
};

NodeFields feature_fields(const FeatureNode& at) {
  return {.feature = cantor_pair(at.layer, at.index),
          .layer = std::to_string(at.layer),
          .position = at.position,
          .type = "cross layer transcoder",
          .js_id = fmt::format("{}_{}-0", at.layer, at.index),
          .activation = fmt::format("{}", float(at.activation))};
}

NodeFields error_fields(int64_t layer, int64_t position) {
  return {.layer = std::to_string(layer),
          .position = position,
          .type = "mlp reconstruction error",
          .js_id = fmt::format("{}_{}-0", layer, position)};
}

NodeFields token_fields(int64_t id, int64_t position) {
  return {.feature = position,
          .layer = "E",
          .position = position,
          .type = "embedding",
          .js_id = fmt::format("E_{}-{}", id, position)};
}

NodeFields target_fields(const TargetNode& target, const NodeLayout& layout, bool first) {
  return {.feature = target.id,
          .layer = std::to_string(layout.layers + 1),
          .position = layout.positions - 1,
          .type = "logit",
          .js_id = fmt::format("L_{}-{}", target.id, layout.positions - 1),
          .label = target_label(target),
          .probability = target.probability,
          .first_target = first};
}

NodeFields fields_of(const Graph& graph, int64_t node) {
  const NodeLayout& layout = graph.matrix.layout;
  switch (layout.kind(node)) {
    case NodeKind::kFeature:
      return feature_fields(graph.matrix.features[size_t(node)]);
    case NodeKind::kError:
      return error_fields((node - layout.first_error()) / layout.positions,
                          (node - layout.first_error()) % layout.positions);
    case NodeKind::kToken:
      return token_fields(graph.token_ids[size_t(node - layout.first_token())],
                          node - layout.first_token());
    default:
      return target_fields(graph.targets[size_t(node - layout.first_target())], layout,
                           node == layout.first_target());
  }
}

void put_node(TextStream& out, const NodeFields& node, bool first) {
  out.put(R"({}{{"node_id":"{}","feature":{},"layer":"{}","ctx_idx":{},"feature_type":"{}",)"
          R"("token_prob":{},"is_target_logit":{},"run_idx":0,"reverse_ctx_idx":0,)"
          R"("jsNodeId":"{}","clerp":{},"influence":{},"activation":{}}})",
          first ? "\n" : ",\n", node.id, node.feature, node.layer, node.position, node.type,
          node.probability, node.first_target, node.js_id, quoted(node.label), node.influence,
          node.activation);
}

void put_nodes(TextStream& out, const Graph& graph, const PrunedGraph& pruned, bool bias_node) {
  bool first = true;
  for (int64_t node = 0; node < graph.matrix.layout.count(); ++node) {
    if (pruned.keep[size_t(node)] != 0) {
      NodeFields fields = fields_of(graph, node);
      fields.id = node_id(graph, node);
      if (node < graph.matrix.layout.first_target()) {
        fields.influence = fmt::format("{}", pruned.cumulative_share[size_t(node)]);
      }
      put_node(out, fields, first);
      first = false;
    }
  }
  if (bias_node) {
    put_node(out, {.id = kBiasId, .layer = "E", .type = "bias", .js_id = "B-0", .label = "bias"},
             first);
  }
}

void put_link(TextStream& out, const std::string& source, const std::string& target, double weight,
              bool& first) {
  out.put(R"({}{{"source":"{}","target":"{}","weight":{}}})", first ? "\n" : ",\n", source, target,
          float(weight));
  first = false;
}

void put_links(TextStream& out, const Graph& graph, const PrunedGraph& pruned, bool bias_node) {
  const NodeLayout& layout = graph.matrix.layout;
  std::vector<std::string> ids(size_t(layout.count()));
  for (int64_t node = 0; node < layout.count(); ++node) {
    if (pruned.keep[size_t(node)] != 0) {
      ids[size_t(node)] = node_id(graph, node);
    }
  }
  bool first = true;
  for (const Edge& edge : pruned.edges) {
    put_link(out, ids[size_t(edge.source)], ids[size_t(edge.target)], edge.weight, first);
  }
  for (int64_t row = 0; bias_node && row < layout.rows(); ++row) {
    const auto node = size_t(layout.node_of_row(row));
    const double bias = graph.matrix.facts[size_t(row)].bias;
    if (pruned.keep[node] != 0 && bias != 0.0) {
      put_link(out, kBiasId, ids[node], bias, first);
    }
  }
}

}  // namespace

std::string node_id(const Graph& graph, int64_t node) {
  const NodeLayout& layout = graph.matrix.layout;
  switch (layout.kind(node)) {
    case NodeKind::kFeature: {
      const FeatureNode& at = graph.matrix.features[size_t(node)];
      return fmt::format("{}_{}_{}", at.layer, at.index, at.position);
    }
    case NodeKind::kError:
      return fmt::format("{}_-1_{}", (node - layout.first_error()) / layout.positions,
                         (node - layout.first_error()) % layout.positions);
    case NodeKind::kToken: {
      const int64_t position = node - layout.first_token();
      return fmt::format("E_{}_{}", graph.token_ids[size_t(position)], position);
    }
    default:
      return fmt::format("{}_{}_{}", layout.layers + 1,
                         graph.targets[size_t(node - layout.first_target())].id,
                         layout.positions - 1);
  }
}

std::string write_graph_json(const std::string& folder, const Graph& graph,
                             const PrunedGraph& pruned, const GraphScores& scores,
                             const GraphJsonOptions& options) {
  const Json metadata = graph_metadata(graph, pruned, scores, options);
  CROSSLOOM_CHECK(std::cmp_equal(pruned.keep.size(), graph.matrix.layout.count()),
                  "the pruned graph has {} nodes, the graph {}", pruned.keep.size(),
                  graph.matrix.layout.count());
  make_folders(folder);
  const std::string path = (std::filesystem::path(folder) / (options.slug + ".json")).string();
  OutputFile file(path);
  TextStream out(file);
  out.put("{{\"metadata\":{},\n", metadata.dump(-1, ' ', false, Json::error_handler_t::replace));
  out.put(
      R"("qParams":{{"pinnedIds":[],"supernodes":[],"linkType":"both","clickedId":"","sg_pos":""}},)");
  out.put("\n\"nodes\":[");
  put_nodes(out, graph, pruned, options.bias_node);
  out.put("],\n\"links\":[");
  put_links(out, graph, pruned, options.bias_node);
  out.put("]}}\n");
  out.flush();
  file.commit();
  update_graph_index(folder, metadata);
  return path;
}

}  // namespace crossloom::eval
