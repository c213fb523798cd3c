// Pruning against the dense oracle, the threshold rule against a full sort, and the corners.
#include "eval/pruning.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/eval/graph_fixtures.h"

namespace crossloom::eval {
namespace {

class PruneRandom : public ::testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, PruneRandom, ::testing::Range<uint64_t>(1, 11));

TEST_P(PruneRandom, EqualsTheDenseOracle) {
  const GraphMatrix matrix = testing::random_graph(GetParam()).matrix;
  testing::Draws draw(GetParam() + 77);
  for (int trial = 0; trial < 12; ++trial) {
    const double node = draw.between(0.2, 0.99);
    const double edge = draw.between(0.2, 0.99);
    SCOPED_TRACE(fmt::format("thresholds {} {}", node, edge));
    const auto oracle = testing::dense_prune(matrix, node, edge);
    const auto pruned = prune(matrix, {.node_threshold = node, .edge_threshold = edge});
    for (size_t i = 0; i < oracle.keep.size(); ++i) {
      EXPECT_EQ(pruned.keep[i] != 0, oracle.keep[i]) << "node " << i;
    }
    size_t expected = 0;
    for (const auto& row : oracle.edges) {
      expected += size_t(std::count(row.begin(), row.end(), true));
    }
    EXPECT_EQ(pruned.edges.size(), expected);
    for (const Edge& edge_kept : pruned.edges) {
      EXPECT_TRUE(oracle.edges[size_t(edge_kept.target)][size_t(edge_kept.source)]);
    }
  }
}

TEST_P(PruneRandom, ThresholdOneKeepsEveryEdgeThatCarriesInfluence) {
  const GraphMatrix matrix = testing::random_graph(GetParam()).matrix;
  const auto pruned = prune(matrix, {.node_threshold = 1.0, .edge_threshold = 1.0});
  const Influence flow = influence(matrix);
  size_t carrying = 0;
  for (int64_t row = 0; row < matrix.layout.rows(); ++row) {
    carrying += arriving(matrix, flow, row) > 0.0 ? matrix.rows.columns(row).size() : 0;
  }
  EXPECT_EQ(pruned.edges.size(), carrying);
  for (int64_t node = 0; node < matrix.layout.first_token(); ++node) {
    EXPECT_EQ(pruned.keep[size_t(node)] != 0, flow.node[size_t(node)] > 0.0) << "node " << node;
  }
  for (const Edge& edge : pruned.edges) {
    EXPECT_NE(edge.weight, 0.0);
    EXPECT_GT(edge.score, 0.0);
  }
}

TEST_P(PruneRandom, DoesNotChangeWithTheScaleOfTheWeights) {
  GraphMatrix matrix = testing::random_graph(GetParam()).matrix;
  const auto before = prune(matrix);
  for (double& weight : matrix.weights) {
    weight *= 3.7;
  }
  const auto after = prune(matrix);
  EXPECT_EQ(before.keep, after.keep);
  EXPECT_EQ(before.edges.size(), after.edges.size());
}

TEST_P(PruneRandom, ACapKeepsTheBestEdgesAndStaysClean) {
  const GraphMatrix matrix = testing::random_graph(GetParam()).matrix;
  const auto all = prune(matrix);
  const auto cap = int64_t(all.edges.size()) / 3;
  const auto capped = prune(matrix, {.max_edges = cap});
  ASSERT_GT(cap, 0);
  EXPECT_LE(std::ssize(capped.edges), cap);
  EXPECT_FALSE(capped.edges.empty());
  std::vector<double> scores;
  for (const Edge& edge : all.edges) {
    scores.push_back(edge.score);
  }
  std::sort(scores.begin(), scores.end(), std::greater<>());
  for (const Edge& edge : capped.edges) {
    EXPECT_GE(edge.score, scores[size_t(cap) - 1]);
    EXPECT_NE(capped.keep[size_t(edge.source)], 0);
    EXPECT_NE(capped.keep[size_t(edge.target)], 0);
  }
  EXPECT_EQ(prune(matrix, {.max_edges = std::ssize(all.edges)}).edges, all.edges);
}

TEST(ShareCutoff, EqualsAFullSort) {
  testing::Draws draw(5);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<double> scores;
    const int64_t count = 1 + draw.below(400);
    const double spread = draw.between(0.0, 40.0);  // decades
    for (int64_t i = 0; i < count; ++i) {
      scores.push_back(draw.uniform() < 0.2 ? 0.0 : std::pow(10.0, -spread * draw.uniform()));
    }
    scores.push_back(0.3);
    const double threshold = draw.between(0.0, 0.999);
    EXPECT_EQ(share_cutoff(scores, threshold), testing::sorted_cutoff(scores, threshold))
        << "trial " << trial;
  }
}

TEST(ShareCutoff, Corners) {
  const std::vector<double> none;
  const std::vector<double> zeros(7, 0.0);
  const std::vector<double> equal(10, 0.1);
  const std::vector<double> tiny = {5e-324, 0.0, 1e300};
  EXPECT_EQ(share_cutoff(none, 0.8), 0.0);
  EXPECT_EQ(share_cutoff(zeros, 0.8), 0.0);
  EXPECT_EQ(share_cutoff(zeros, 1.0), 0.0);
  EXPECT_EQ(share_cutoff(equal, 0.8), 0.1);
  EXPECT_EQ(share_cutoff(equal, 1.0), 0.1);
  EXPECT_EQ(share_cutoff(tiny, 1.0), 5e-324);
  EXPECT_EQ(share_cutoff(tiny, 0.999), 1e300);
  EXPECT_EQ(share_cutoff(std::vector<double>{0.2, 0.5, 0.3}, 0.0), 0.5);
}

TEST(CumulativeShare, TiesGoToTheLowerIndexAndZerosAreOne) {
  const auto share = cumulative_share(std::vector<double>{0.25, 0.5, 0.25, 0.0});
  EXPECT_EQ(share, (std::vector<double>{0.75, 0.5, 1.0, 1.0}));
  EXPECT_EQ(cumulative_share(std::vector<double>(3, 0.0)), std::vector<double>(3, 1.0));
}

TEST(Prune, RefusesThresholdsOutsideZeroToOne) {
  const GraphMatrix matrix = testing::golden_graph().matrix;
  EXPECT_THROW(prune(matrix, {.node_threshold = 1.1}), ConfigError);
  EXPECT_THROW(prune(matrix, {.node_threshold = std::nan("")}), ConfigError);
  EXPECT_THROW(prune(matrix, {.edge_threshold = -0.1}), ConfigError);
  EXPECT_THROW(prune(matrix, {.max_edges = -1}), ConfigError);
}

TEST(Prune, AGraphWithoutEffectsKeepsTokensAndTargetsOnly) {
  GraphMatrix matrix = testing::random_graph(2).matrix;
  const int64_t rows = matrix.layout.rows();
  matrix.rows = {};
  for (int64_t row = 0; row < rows; ++row) {
    matrix.rows.end_row();
  }
  for (const double threshold : {0.0, 0.8, 1.0}) {
    const auto pruned = prune(matrix, {.node_threshold = threshold, .edge_threshold = threshold});
    EXPECT_TRUE(pruned.edges.empty());
    for (int64_t node = 0; node < matrix.layout.count(); ++node) {
      EXPECT_EQ(pruned.keep[size_t(node)] != 0, node >= matrix.layout.first_token());
      EXPECT_EQ(pruned.cumulative_share[size_t(node)], 1.0);
    }
  }
}

TEST(Prune, WithoutWeightNoEdgePasses) {
  GraphMatrix matrix = testing::random_graph(2).matrix;
  matrix.weights.assign(matrix.weights.size(), 0.0);
  for (const double threshold : {0.0, 0.8, 1.0}) {
    const auto pruned = prune(matrix, {.node_threshold = threshold, .edge_threshold = threshold});
    EXPECT_TRUE(pruned.edges.empty());
  }
}

TEST(Prune, OneLayerAndOneToken) {
  const GraphMatrix one_layer = testing::random_graph(4, {.layers = 1}).matrix;
  EXPECT_FALSE(prune(one_layer).edges.empty());
  const GraphMatrix one_token = testing::random_graph(4, {.positions = 1}).matrix;
  EXPECT_FALSE(prune(one_token).edges.empty());
  const GraphMatrix no_feature = testing::random_graph(4, {.per_cell = 0}).matrix;
  EXPECT_EQ(no_feature.layout.features, 0);
  EXPECT_FALSE(prune(no_feature).edges.empty());
}

}  // namespace
}  // namespace crossloom::eval
