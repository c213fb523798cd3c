// Scores: bounds, invariances, moved mass, and graphs at the edge of what can be scored.
#include "eval/scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "tests/eval/graph_fixtures.h"

namespace crossloom::eval {
namespace {

constexpr double kTolerance = 1e-13;

std::vector<double> all_scores(const GraphScores& scores) {
  return {scores.replacement, scores.completeness, scores.completeness_strict,
          scores.completeness_eleuther, scores.bias_share};
}

double row_sum(const GraphMatrix& matrix, int64_t row) {
  const auto values = matrix.rows.values(row);
  return std::accumulate(values.begin(), values.end(), 0.0);
}

TEST(Scores, LieBetweenZeroAndOneAndIgnoreTheScaleOfTheWeights) {
  for (uint64_t seed = 1; seed < 20; ++seed) {
    GraphMatrix matrix = testing::random_graph(seed).matrix;
    const GraphScores scores = score_graph(matrix);
    for (const double score : all_scores(scores)) {
      EXPECT_GT(score, 0.0);
      EXPECT_LT(score, 1.0);
    }
    ASSERT_TRUE(scores.mean_path_length_edges.has_value());
    EXPECT_GE(*scores.mean_path_length_edges, 1.0);
    EXPECT_LE(*scores.mean_path_length_edges, double(matrix.layout.layers) + 1.0);
    EXPECT_LE(scores.completeness_strict, scores.completeness);
    for (double& weight : matrix.weights) {
      weight *= 0.01;
    }
    const GraphScores rescaled = score_graph(matrix);
    for (size_t i = 0; i < all_scores(scores).size(); ++i) {
      EXPECT_NEAR(all_scores(scores)[i], all_scores(rescaled)[i], kTolerance);
    }
    EXPECT_NEAR(*scores.mean_path_length_edges, *rescaled.mean_path_length_edges, kTolerance);
  }
}

TEST(Scores, AGraphWithoutErrorsIsComplete) {
  GraphMatrix matrix = testing::random_graph(3).matrix;
  SparseRows rows;
  for (int64_t row = 0; row < matrix.layout.rows(); ++row) {
    for (size_t i = 0; i < matrix.rows.columns(row).size(); ++i) {
      const int32_t column = matrix.rows.columns(row)[i];
      if (matrix.layout.kind(column) != NodeKind::kError) {
        rows.push(column, matrix.rows.values(row)[i]);
      }
    }
    rows.end_row();
  }
  matrix.rows = rows;
  const GraphScores scores = score_graph(matrix);
  EXPECT_EQ(scores.replacement, 1.0);
  EXPECT_EQ(scores.completeness, 1.0);
  EXPECT_EQ(scores.completeness_strict, 1.0);
}

TEST(Scores, AGraphWithoutEffectsHasNoNan) {
  GraphMatrix matrix = testing::random_graph(2).matrix;
  const int64_t rows = matrix.layout.rows();
  matrix.rows = {};
  for (int64_t row = 0; row < rows; ++row) {
    matrix.rows.end_row();
  }
  for (auto& facts : matrix.facts) {
    facts = {};
  }
  GraphScores scores = score_graph(matrix);
  EXPECT_EQ(scores.replacement, 0.0);
  EXPECT_EQ(scores.completeness_eleuther, 0.0);
  EXPECT_FALSE(scores.mean_path_length_edges.has_value());
  matrix.weights.assign(matrix.weights.size(), 0.0);
  scores = score_graph(matrix);
  for (const double score : all_scores(scores)) {
    EXPECT_EQ(score, 0.0);
  }
}

TEST(Scores, SmallestGraphs) {
  for (const auto& shape :
       {testing::RandomShape{.layers = 1}, testing::RandomShape{.positions = 1},
        testing::RandomShape{.layers = 1, .positions = 1, .targets = 1, .per_cell = 0}}) {
    const GraphScores scores = score_graph(testing::random_graph(6, shape).matrix);
    for (const double score : all_scores(scores)) {
      EXPECT_GE(score, 0.0);
      EXPECT_LE(score, 1.0);
    }
    EXPECT_GT(scores.replacement, 0.0);
  }
}

TEST(WithFeatures, KeepingAllChangesNothing) {
  const GraphMatrix matrix = testing::random_graph(5).matrix;
  const std::vector<uint8_t> all(size_t(matrix.layout.features), 1);
  EXPECT_EQ(with_features(matrix, all), matrix);
}

TEST(WithFeatures, MovedMassKeepsEveryRowSum) {
  const GraphMatrix matrix = testing::random_graph(5).matrix;
  testing::Draws draw(9);
  std::vector<uint8_t> keep;
  for (int64_t i = 0; i < matrix.layout.features; ++i) {
    keep.push_back(draw.uniform() < 0.5 ? 1 : 0);
  }
  const GraphMatrix part = with_features(matrix, keep);
  EXPECT_EQ(matrix_problem(part), "");
  for (int64_t row = 0; row < matrix.layout.rows(); ++row) {
    if (row < matrix.layout.features && keep[size_t(row)] == 0) {
      EXPECT_TRUE(part.rows.columns(row).empty());
      continue;
    }
    EXPECT_NEAR(row_sum(part, row), row_sum(matrix, row), kTolerance);
    for (const int32_t column : part.rows.columns(row)) {
      EXPECT_TRUE(column >= matrix.layout.features || keep[size_t(column)] != 0);
    }
  }
}

TEST(WithFeatures, CreatesAnErrorThatWasNotThere) {
  const GraphMatrix matrix = testing::golden_graph().matrix;
  // Feature 0 sits in the cell of error 5, which has no edge at all.
  const GraphMatrix part = with_features(matrix, std::vector<uint8_t>{0, 1, 1, 1, 1});
  const auto columns = part.rows.columns(3);
  EXPECT_EQ(std::vector<int32_t>(columns.begin(), columns.end()), (std::vector<int32_t>{1, 5, 6}));
  EXPECT_EQ(part.rows.values(3)[1], 10.0);
}

TEST(WithFeatures, SignsMatterWhenMassMoves) {
  GraphMatrix matrix = testing::golden_graph().matrix;
  SparseRows rows;
  for (int64_t row = 0; row < matrix.layout.rows(); ++row) {
    for (size_t i = 0; i < matrix.rows.columns(row).size(); ++i) {
      const int32_t column = matrix.rows.columns(row)[i];
      rows.push(column, column == 8 ? -10.0 : 10.0);
    }
    rows.end_row();
  }
  matrix.rows = rows;
  // 11 draws +10 from feature 3 and −10 from its error 8: together nothing is left.
  const GraphMatrix part = with_features(matrix, std::vector<uint8_t>{1, 1, 1, 0, 1});
  const auto columns = part.rows.columns(5);
  EXPECT_EQ(std::vector<int32_t>(columns.begin(), columns.end()), (std::vector<int32_t>{1, 6}));
}

TEST(WithFeatures, FewerFeaturesNeverReplaceMoreWhenSignsAgree) {
  GraphMatrix matrix = testing::random_graph(8).matrix;
  SparseRows rows;
  for (int64_t row = 0; row < matrix.layout.rows(); ++row) {
    for (size_t i = 0; i < matrix.rows.columns(row).size(); ++i) {
      rows.push(matrix.rows.columns(row)[i], std::abs(matrix.rows.values(row)[i]));
    }
    rows.end_row();
  }
  matrix.rows = rows;
  std::vector<uint8_t> keep(size_t(matrix.layout.features), 1);
  double before = score_graph(matrix).replacement;
  for (size_t feature = 0; feature < keep.size(); ++feature) {
    keep[feature] = 0;
    const double now = score_graph(with_features(matrix, keep)).replacement;
    EXPECT_LE(now, before + kTolerance);
    before = now;
  }
}

}  // namespace
}  // namespace crossloom::eval
