// The 12-node golden graph: every value of both tables, as fractions in golden/graph.
#include <gtest/gtest.h>

#include <set>

#include "eval/scores.h"
#include "tests/eval/graph_fixtures.h"

namespace crossloom::eval {
namespace {

using testing::fraction;

std::vector<std::string> texts(const Json& list) {
  return list.get<std::vector<std::string>>();
}

/// A table of the golden file; its length is checked, so that no row can be lost.
Json golden_cases(const char* table, size_t count) {
  Json cases = testing::golden_file("twelve_nodes.json")[table];
  EXPECT_EQ(cases.size(), count);
  return cases;
}

std::string edge_name(int64_t target, int64_t source) {
  return fmt::format("{}<{}", target, source);
}

TEST(GoldenGraph, LayoutMatchesTheFile) {
  const Graph graph = testing::golden_graph();
  EXPECT_EQ(graph.matrix.layout.count(), 12);
  const int64_t expected[] = {5, 6, 7, 8, 8};
  for (int64_t feature = 0; feature < 5; ++feature) {
    EXPECT_EQ(graph.matrix.error_of_feature(feature), expected[feature]);
  }
  EXPECT_EQ(graph.matrix.rows.entry_count(), 10);
  EXPECT_EQ(graph.max_residual, 0.0);
}

TEST(GoldenGraph, InfluenceAndEdgeScores) {
  const Json cases = golden_cases("influence", 2);
  for (const Json& item : cases) {
    SCOPED_TRACE(item["name"].get<std::string>());
    const GraphMatrix matrix = testing::golden_graph(texts(item["deleted"])).matrix;
    const Influence flow = influence(matrix);
    for (size_t node = 0; node < 12; ++node) {
      EXPECT_DOUBLE_EQ(flow.node[node], fraction(item["nodes"][node])) << "node " << node;
    }
    const auto scores = edge_scores(matrix, flow);
    size_t checked = 0;
    for (int64_t row = 0; row < matrix.layout.rows(); ++row) {
      const auto columns = matrix.rows.columns(row);
      for (size_t i = 0; i < columns.size(); ++i, ++checked) {
        const auto name = edge_name(matrix.layout.node_of_row(row), columns[i]);
        EXPECT_DOUBLE_EQ(scores[checked], fraction(item["edge_scores"].at(name))) << name;
      }
    }
    EXPECT_EQ(checked, item["edge_scores"].size());
  }
}

TEST(GoldenGraph, CumulativeShares) {
  const Json expected = testing::golden_file("twelve_nodes.json")["cumulative_share"];
  const auto share = cumulative_share(influence(testing::golden_graph().matrix).node);
  for (size_t node = 0; node < 12; ++node) {
    EXPECT_DOUBLE_EQ(share[node], fraction(expected[node])) << "node " << node;
  }
}

TEST(GoldenGraph, PrunedAtEveryThreshold) {
  const GraphMatrix matrix = testing::golden_graph().matrix;
  const Json cases = golden_cases("prune", 9);
  for (const Json& item : cases) {
    SCOPED_TRACE(item.dump());
    const auto pruned =
        prune(matrix, {.node_threshold = item["node"], .edge_threshold = item["edge"]});
    EXPECT_DOUBLE_EQ(pruned.node_cutoff, fraction(item["node_cutoff"]));
    std::vector<int64_t> kept;
    for (int64_t node = 0; node < 12; ++node) {
      if (pruned.keep[size_t(node)] != 0) {
        kept.push_back(node);
      }
    }
    EXPECT_EQ(kept, item["nodes"].get<std::vector<int64_t>>());
    if (item.contains("edge_cutoff")) {
      EXPECT_DOUBLE_EQ(pruned.edge_cutoff, fraction(item["edge_cutoff"]));
    }
    if (item.contains("edges")) {
      std::set<std::string> edges;
      for (const Edge& edge : pruned.edges) {
        edges.insert(edge_name(edge.target, edge.source));
        EXPECT_EQ(edge.weight, 10.0);
      }
      const auto expected = texts(item["edges"]);
      EXPECT_EQ(edges, std::set<std::string>(expected.begin(), expected.end()));
      EXPECT_EQ(pruned.edges.size(), expected.size());
    }
  }
}

TEST(GoldenGraph, ScoresOfEveryVariant) {
  const Json cases = golden_cases("scores", 7);
  for (const Json& item : cases) {
    SCOPED_TRACE(item["name"].get<std::string>());
    GraphMatrix matrix = testing::golden_graph(texts(item["deleted"])).matrix;
    if (!item["pins"].is_null()) {
      std::vector<uint8_t> keep(5, 0);
      for (const Json& pin : item["pins"]) {
        keep[pin.get<size_t>()] = 1;
      }
      matrix = with_features(matrix, keep);
    }
    const GraphScores scores = score_graph(matrix);
    EXPECT_DOUBLE_EQ(scores.replacement, fraction(item["replacement"]));
    EXPECT_DOUBLE_EQ(scores.completeness, fraction(item["completeness"]));
    EXPECT_DOUBLE_EQ(scores.completeness_strict, fraction(item["strict"]));
    EXPECT_DOUBLE_EQ(scores.completeness_eleuther, fraction(item["eleuther"]));
    EXPECT_EQ(scores.mean_path_length_edges.has_value(), !item["mean_path_length"].is_null());
    if (scores.mean_path_length_edges) {
      EXPECT_DOUBLE_EQ(*scores.mean_path_length_edges, fraction(item["mean_path_length"]));
    }
    const PathLengths lengths = path_lengths(matrix);
    const Json shares = item.value("path_shares", Json::object());
    for (const auto& [edges, share] : shares.items()) {
      EXPECT_DOUBLE_EQ(lengths.share[std::stoul(edges)], fraction(share)) << edges << " edges";
    }
  }
}

}  // namespace
}  // namespace crossloom::eval
