// Graph JSON as written: valid by our own validator, every field of every kind of node, the index.
#include "eval/graph_json.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "common/output_file.h"
#include "eval/graph_json_check.h"
#include "eval/pairing.h"
#include "tests/eval/graph_fixtures.h"

namespace crossloom::eval {
namespace {

constexpr size_t kLimit_bytes = 64 << 20;

class GraphJson : public ::testing::Test {
 protected:
  GraphJson()
      : folder_((std::filesystem::path(::testing::TempDir()) /
                 (std::string("graph_json_") +
                  ::testing::UnitTest::GetInstance()->current_test_info()->name()))
                    .string()) {
    std::filesystem::remove_all(folder_);
  }
  ~GraphJson() override { std::filesystem::remove_all(folder_); }

  Json write(const Graph& graph, GraphJsonOptions options, const PruneOptions& pruning = {}) {
    options.slug = options.slug.empty() ? "demo-1" : options.slug;
    options.scan = options.scan.empty() ? "demo-model" : options.scan;
    const auto path = write_graph_json(folder_, graph, prune(graph.matrix, pruning),
                                       score_graph(graph.matrix), options);
    return read_json_file(path, kLimit_bytes);
  }
  Json index() const { return read_json_file(folder_ + "/graph-metadata.json", kLimit_bytes); }

  std::string folder_;
};

const Json& node_named(const Json& graph, const std::string& id) {
  for (const Json& node : graph["nodes"]) {
    if (node["node_id"] == id) {
      return node;
    }
  }
  throw std::runtime_error("no node " + id);
}

TEST(Pairing, KnownValuesAndInverse) {
  const int64_t cases[][3] = {{0, 0, 0},
                              {1, 0, 1},
                              {0, 1, 2},
                              {3, 5, 41},
                              {1, 7, 43},
                              {20, 12345, 76465140},
                              {0, 65534, 2147450879},
                              {0, 65535, 2147516415},
                              {11, 98303, 4832968758},
                              {25, 1048576, 549783601477}};
  for (const auto& [x, y, z] : cases) {
    EXPECT_EQ(cantor_pair(x, y), z);
    EXPECT_EQ(cantor_unpair(z), (std::pair<int64_t, int64_t>{x, y}));
  }
  for (int64_t z = 0; z < 20000; ++z) {
    const auto [x, y] = cantor_unpair(z);
    EXPECT_EQ(cantor_pair(x, y), z);
  }
  const int64_t large = int64_t{1} << 30;
  EXPECT_EQ(cantor_unpair(cantor_pair(0, large)), (std::pair<int64_t, int64_t>{0, large}));
  EXPECT_EQ(cantor_unpair(cantor_pair(large, 0)), (std::pair<int64_t, int64_t>{large, 0}));
}

TEST_F(GraphJson, HasAllFieldsOfEveryKind) {
  const Json graph = write(testing::golden_graph(), {.create_time_ms = 1780000000000});
  EXPECT_EQ(validate_graph_json(graph, {.for_upload = true}), std::vector<std::string>{});

  const auto feature = Json::parse(R"({"node_id": "1_13_1", "feature": 118, "layer": "1",
    "ctx_idx": 1, "feature_type": "cross layer transcoder", "token_prob": 0, "run_idx": 0,
    "is_target_logit": false, "reverse_ctx_idx": 0, "jsNodeId": "1_13-0", "clerp": "",
    "influence": 0.55, "activation": 2.5})");
  EXPECT_EQ(cantor_pair(1, 13), 118);
  EXPECT_EQ(node_named(graph, "1_13_1"), feature);
  const auto error = Json::parse(R"({"node_id": "0_-1_1", "feature": -1, "layer": "0",
    "ctx_idx": 1, "feature_type": "mlp reconstruction error", "token_prob": 0, "run_idx": 0,
    "is_target_logit": false, "reverse_ctx_idx": 0, "jsNodeId": "0_1-0", "clerp": "",
    "influence": 0.4, "activation": null})");
  EXPECT_EQ(node_named(graph, "0_-1_1"), error);
  const auto token = Json::parse(R"({"node_id": "E_5_1", "feature": 1, "layer": "E",
    "ctx_idx": 1, "feature_type": "embedding", "token_prob": 0, "run_idx": 0,
    "is_target_logit": false, "reverse_ctx_idx": 0, "jsNodeId": "E_5-1", "clerp": "",
    "influence": 0.95, "activation": null})");
  Json written_token = node_named(graph, "E_5_1");
  EXPECT_NEAR(written_token["influence"].get<double>(), 0.95, 1e-15);
  written_token["influence"] = 0.95;
  EXPECT_EQ(written_token, token);
  const auto target = Json::parse(R"json({"node_id": "3_9_1", "feature": 9, "layer": "3",
    "ctx_idx": 1, "feature_type": "logit", "token_prob": 0.62, "run_idx": 0,
    "is_target_logit": true, "reverse_ctx_idx": 0, "jsNodeId": "L_9-1",
    "clerp": "Output \" b\" (p=0.620)", "influence": null, "activation": null})json");
  EXPECT_EQ(node_named(graph, "3_9_1"), target);

  EXPECT_EQ(graph["links"].size(), 8U);
  EXPECT_EQ(graph["nodes"].size(), 7U);
  EXPECT_EQ(graph["links"][0]["weight"], 10);
  EXPECT_EQ(graph["qParams"], Json::parse(R"({"pinnedIds": [], "supernodes": [], "linkType": "both",
                            "clickedId": "", "sg_pos": ""})"));
}

TEST_F(GraphJson, MetadataHasScoresAndSettings) {
  const Json meta = write(testing::golden_graph(), {.create_time_ms = 5})["metadata"];
  EXPECT_DOUBLE_EQ(meta["replacement_score"].get<double>(), 5.0 / 12.0);
  EXPECT_DOUBLE_EQ(meta["completeness_score"].get<double>(), 25.0 / 32.0);
  EXPECT_DOUBLE_EQ(meta["crossloom"]["completeness_strict"].get<double>(), 13.0 / 20.0);
  EXPECT_EQ(meta["schema_version"], 1);
  EXPECT_EQ(meta["prompt_tokens"], Json::parse(R"(["<bos>", " a"])"));
  EXPECT_EQ(meta["generation_settings"]["max_feature_nodes"], 7500);
  EXPECT_EQ(meta["pruning_settings"]["edge_threshold"], 0.98);
  EXPECT_EQ(meta["info"]["create_time_ms"], 5);
}

TEST_F(GraphJson, RandomGraphsAreValidAtAnyThreshold) {
  for (uint64_t seed = 1; seed < 6; ++seed) {
    for (const double threshold : {0.3, 0.8, 1.0}) {
      const Graph graph = testing::random_graph(seed, {.selected_share = 0.7});
      const Json json = write(graph, {.bias_node = seed % 2 == 0},
                              {.node_threshold = threshold, .edge_threshold = threshold});
      EXPECT_EQ(validate_graph_json(json), std::vector<std::string>{}) << "seed " << seed;
    }
  }
}

TEST_F(GraphJson, WeightsAreRawAndSigned) {
  const Graph graph = testing::random_graph(3);
  const auto pruned = prune(graph.matrix);
  const Json json = write(graph, {});
  ASSERT_EQ(json["links"].size(), pruned.edges.size());
  for (size_t i = 0; i < pruned.edges.size(); ++i) {
    EXPECT_EQ(json["links"][i]["weight"].get<float>(), float(pruned.edges[i].weight));
    EXPECT_EQ(json["links"][i]["source"], node_id(graph, pruned.edges[i].source));
    EXPECT_EQ(json["links"][i]["target"], node_id(graph, pruned.edges[i].target));
  }
}

TEST_F(GraphJson, BiasNodeLinksToEveryKeptRow) {
  const Graph graph = testing::random_graph(3);
  const auto pruned = prune(graph.matrix);
  const Json json = write(graph, {.bias_node = true});
  int64_t rows = 0;
  for (int64_t row = 0; row < graph.matrix.layout.rows(); ++row) {
    rows += pruned.keep[size_t(graph.matrix.layout.node_of_row(row))];
  }
  EXPECT_EQ(node_named(json, "B_0_0")["feature_type"], "bias");
  EXPECT_EQ(std::ssize(json["links"]), std::ssize(pruned.edges) + rows);
}

TEST_F(GraphJson, LabelsEscapeQuotesAndKeepNewlines) {
  GraphInput input = testing::random_input(1);
  input.targets[0].text = "say \"hi\\\"\n";
  input.targets[1].text = "\xff";
  const Json json = write(assemble_graph(input), {});
  const NodeLayout full = input.full_layout();
  const auto id = fmt::format("{}_{}_{}", full.layers + 1, input.targets[0].id, full.positions - 1);
  const auto label = node_named(json, id)["clerp"].get<std::string>();
  EXPECT_EQ(label.substr(0, label.find("(p=")), "Output \"say \\\"hi\\\\\\\"\n\" ");
  EXPECT_EQ(validate_graph_json(json), std::vector<std::string>{});
}

TEST_F(GraphJson, OnlyTheFirstTargetIsMarked) {
  const Graph graph = testing::random_graph(1);
  const Json json = write(graph, {});
  int marked = 0;
  for (const Json& node : json["nodes"]) {
    marked += node["is_target_logit"].get<bool>() ? 1 : 0;
  }
  EXPECT_EQ(marked, 1);
  EXPECT_EQ(node_named(json, node_id(graph, graph.matrix.layout.target(0)))["is_target_logit"],
            true);
}

TEST_F(GraphJson, IndexHasOneEntryPerSlug) {
  const Graph graph = testing::golden_graph();
  write(graph, {.slug = "one"});
  write(graph, {.slug = "two"});
  write(graph, {.slug = "one", .description = "again"});
  const Json list = index()["graphs"];
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0]["slug"], "one");
  EXPECT_EQ(list[0]["info"]["description"], "again");
  EXPECT_EQ(list[1]["slug"], "two");
}

TEST_F(GraphJson, ADamagedIndexIsLeftAlone) {
  make_folders(folder_);
  for (const char* text : {"{\"graphs\": 3}", "[", "{}"}) {
    write_file(folder_ + "/graph-metadata.json", text);
    EXPECT_THROW(write(testing::golden_graph(), {}), DataError);
    std::string kept;
    kept = read_json_file(folder_ + "/demo-1.json", kLimit_bytes)["metadata"]["slug"];
    EXPECT_EQ(kept, "demo-1");  // the graph itself is there
    EXPECT_EQ(std::filesystem::file_size(folder_ + "/graph-metadata.json"),
              std::string(text).size());
  }
}

TEST_F(GraphJson, SlugsAreChecked) {
  for (const char* good : {"a", "capital-of-france", "A_1.b"}) {
    EXPECT_NO_THROW(require_slug(good));
  }
  for (const std::string bad :
       {"", "a/b", "../a", ".hidden", "a b", "caf\xc3\xa9", "graph-metadata", "a\nb"}) {
    EXPECT_THROW(require_slug(bad), ConfigError) << bad;
  }
  EXPECT_THROW(require_slug(std::string(201, 'a')), ConfigError);
}

TEST_F(GraphJson, ProfilesExcludeEachOther) {
  const Graph graph = testing::golden_graph();
  const Json site = write(graph, {.scan = "gpt2-small", .neuronpedia_set = "clt-demo"})["metadata"];
  EXPECT_EQ(site["schema_version"], 1);
  EXPECT_EQ(site["info"]["neuronpedia_source_set"], "clt-demo");
  EXPECT_EQ(site["feature_details"]["neuronpedia_source_set"], "clt-demo");
  const Json own = write(graph, {.feature_json_base_url = "https://example.org/f"})["metadata"];
  EXPECT_FALSE(own.contains("schema_version"));
  EXPECT_EQ(own["feature_details"]["feature_json_base_url"], "https://example.org/f");
  EXPECT_THROW(write(graph, {.neuronpedia_set = "a", .feature_json_base_url = "b"}), ConfigError);
  EXPECT_THROW(write(graph, {.scan = "org/set", .neuronpedia_set = "a"}), ConfigError);
}

}  // namespace
}  // namespace crossloom::eval
