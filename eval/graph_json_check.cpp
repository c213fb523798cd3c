// See graph_json_check.h. Fields and types are tables (graph_json_schema.h); here is what relates
// fields and objects to each other.
#include "eval/graph_json_check.h"

#include <set>
#include <string_view>
#include <unordered_map>

#include "common/format.h"
#include "eval/graph_json_schema.h"
#include "eval/pairing.h"

namespace crossloom::eval {
namespace {

constexpr int64_t kUploadLeast_bytes = 1 << 10;
constexpr int64_t kUploadMost_bytes = 100 << 20;
constexpr int64_t kExactInJavaScript = int64_t{1} << 53;

using schema::FieldRule;

class GraphCheck {
 public:
  explicit GraphCheck(const GraphCheckOptions& options) : options_(options) {}

  std::vector<std::string> run(const Json& graph) {
    if (!graph.is_object()) {
      add("the root is not an object");
    } else if (fields(graph, schema::kRootFields, "the root")) {
      metadata(graph["metadata"]);
      view(graph["qParams"]);
      for (const Json& item : graph["nodes"]) {
        node(item);
      }
      for (const Json& item : graph["links"]) {
        link(item);
      }
      relations(graph);
    }
    return std::move(problems_);
  }

 private:
  struct NodeSeen {
    std::string type;
    bool linked = false;
  };

  void add(std::string problem) {
    if (problems_.size() < kMostProblems) {
      problems_.push_back(std::move(problem));
    }
  }

  /// True when every field is there and of its type.
  template <size_t kCount>
  bool fields(const Json& object, const FieldRule (&rules)[kCount], const std::string& where) {
    const size_t before = problems_.size();
    if (!object.is_object()) {
      add(where + " is not an object");
      return false;
    }
    bool good = true;
    for (const FieldRule& rule : rules) {
      const auto found = object.find(rule.name);
      if (found == object.end()) {
        if (rule.required) {
          add(fmt::format("{}: '{}' is missing", where, rule.name));
          good = false;
        }
      } else if (!schema::fits(*found, rule.type)) {
        add(fmt::format("{}: '{}' is not {}", where, rule.name, schema::type_text(rule.type)));
        good = false;
      }
    }
    return good && problems_.size() == before;
  }

  template <size_t kCount>
  void optional_group(const Json& object, const char* key, const FieldRule (&rules)[kCount]) {
    if (object.contains(key) && object[key].is_object()) {
      fields(object[key], rules, key);
    }
  }

  static bool plain_name(const std::string& text) {
    constexpr std::string_view kAllowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    return !text.empty() && text.find_first_not_of(kAllowed) == std::string::npos;
  }

  void metadata(const Json& value) {
    const bool good = fields(value, schema::kMetadataFields, "metadata");
    optional_group(value, "feature_details", schema::kFeatureDetailFields);
    optional_group(value, "generation_settings", schema::kGenerationFields);
    optional_group(value, "pruning_settings", schema::kPruningFields);
    optional_group(value, "info", schema::kInfoFields);
    if (value.contains("info") && value["info"].is_object()) {
      optional_group(value["info"], "generator", schema::kGeneratorFields);
    }
    if (!good) {
      return;
    }
    positions_ = int64_t(value["prompt_tokens"].size());
    if (positions_ == 0) {
      add("metadata: 'prompt_tokens' is empty");
    }
    if (!plain_name(value["slug"].get<std::string>())) {
      add("metadata: 'slug' holds more than letters, digits, '_', '.', '-'");
    }
    if (options_.for_upload && !plain_name(value["scan"].get<std::string>())) {
      add("metadata: 'scan' holds more than letters, digits, '_', '.', '-'");
    }
    if (value.contains("schema_version")) {
      paired_ = value["schema_version"] == 1;
      if (!paired_) {
        add("metadata: 'schema_version' is not 1");
      }
    }
  }

  void view(const Json& value) {
    if (fields(value, schema::kViewFields, "qParams") && value.contains("linkType")) {
      const auto type = value["linkType"].get<std::string>();
      if (type != "both" && type != "input" && type != "output" && type != "either") {
        add("qParams: 'linkType' is not both, input, output or either");
      }
    }
  }

  void node(const Json& value) {
    const std::string where = fmt::format("node {}", nodes_seen_++);
    if (!fields(value, schema::kNodeFields, where)) {
      return;
    }
    const auto id = value["node_id"].get<std::string>();
    const auto type = value["feature_type"].get<std::string>();
    if (!nodes_.emplace(id, NodeSeen{.type = type, .linked = false}).second) {
      add(fmt::format("{}: id '{}' is used twice", where, id));
    }
    const auto position = value["ctx_idx"].get<int64_t>();
    if (position < 0 || (positions_ > 0 && position >= positions_)) {
      add(fmt::format("{}: 'ctx_idx' {} lies outside the prompt", where, position));
    }
    if (value.contains("influence") && value["influence"].is_number()) {
      if (const auto share = value["influence"].get<double>(); share < 0.0 || share > 1.0 + 1e-6) {
        add(fmt::format("{}: 'influence' {} is not a cumulative share", where, share));
      }
    }
    const std::string layer = value["layer"].is_string()
                                  ? value["layer"].get<std::string>()
                                  : std::to_string(value["layer"].get<int64_t>());
    if (type == "logit") {
      logit(value, where);
    } else {
      above_zero_ = above_zero_ || (layer != "E" && layer != "0");
    }
    if (type == "cross layer transcoder") {
      feature(value, layer, position, where);
    }
  }

  void logit(const Json& value, const std::string& where) {
    ++logits_;
    if (value["clerp"].get<std::string>().find("(p=") == std::string::npos) {
      add(where + ": a target's 'clerp' lacks '(p='");
    }
    if (value.contains("is_target_logit") && value["is_target_logit"] == true) {
      ++first_logits_;
    }
  }

  /// The id says (layer, index, position); `feature` must be their pairing.
  void feature(const Json& value, const std::string& layer, int64_t position,
               const std::string& where) {
    const auto id = value["node_id"].get<std::string>();
    const int64_t number = value["feature"].is_number() ? value["feature"].get<int64_t>() : -1;
    if (number < 0 || number > kExactInJavaScript) {
      add(where + ": a feature without a number from 0 to 2^53");
      return;
    }
    if (paired_) {
      const auto [of_layer, index] = cantor_unpair(number);
      const auto expected = fmt::format("{}_{}_{}", of_layer, index, position);
      if (id != expected || layer != std::to_string(of_layer)) {
        add(fmt::format("{}: 'feature' {} pairs to '{}', not '{}' in layer {}", where, number,
                        expected, id, layer));
      }
    }
  }

  void link(const Json& value) {
    const std::string where = fmt::format("link {}", links_seen_++);
    if (!fields(value, schema::kLinkFields, where)) {
      return;
    }
    const auto source = nodes_.find(value["source"].get<std::string>());
    const auto target = nodes_.find(value["target"].get<std::string>());
    if (source == nodes_.end() || target == nodes_.end()) {
      add(where + " refers to a node that is not there");
      return;
    }
    source->second.linked = target->second.linked = true;
    if (source->second.type == "logit") {
      add(where + " starts at a target");
    }
    if (target->second.type == "embedding" || target->second.type == "mlp reconstruction error" ||
        target->second.type == "bias") {
      add(where + " ends at a node that has no sources");
    }
    if (!pairs_.emplace(&source->second, &target->second).second) {
      add(where + " is there twice");
    }
  }

  void relations(const Json& graph) {
    for (const auto& [id, seen] : nodes_) {
      if (!seen.linked && seen.type != "embedding" && seen.type != "logit") {
        add(fmt::format("node '{}' has no link", id));
      }
    }
    if (logits_ == 0) {
      add("there is no target");
    } else if (first_logits_ > 1) {
      add("more than one target has 'is_target_logit'");
    }
    const Json pinned = graph["qParams"].value("pinnedIds", Json::array());
    for (const Json& id : pinned.is_array() ? pinned : Json::array()) {
      if (id.is_string() && !nodes_.contains(id.get<std::string>())) {
        add(fmt::format("qParams: pinned node '{}' is not there", id.get<std::string>()));
      }
    }
    if (options_.for_upload && !above_zero_) {
      add("no node lies above layer 0: the site cannot show one-layer graphs");
    }
    if (options_.file_bytes >= 0 &&
        (options_.file_bytes < kUploadLeast_bytes || options_.file_bytes > kUploadMost_bytes)) {
      add(fmt::format("the file has {}; uploads take 1 KiB to 100 MiB",
                      human_bytes(double(options_.file_bytes))));
    }
  }

  GraphCheckOptions options_;
  std::vector<std::string> problems_;
  std::unordered_map<std::string, NodeSeen> nodes_;
  std::set<std::pair<const NodeSeen*, const NodeSeen*>> pairs_;
  int64_t positions_ = 0;
  int64_t nodes_seen_ = 0;
  int64_t links_seen_ = 0;
  int64_t logits_ = 0;
  int64_t first_logits_ = 0;
  bool paired_ = false;
  bool above_zero_ = false;
};

}  // namespace

std::vector<std::string> validate_graph_json(const Json& graph, const GraphCheckOptions& options) {
  return GraphCheck(options).run(graph);
}

}  // namespace crossloom::eval
