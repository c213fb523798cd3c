// One backward walk = the power series, on random causal graphs; conservation; ranking.
#include "eval/influence.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/eval/graph_fixtures.h"

namespace crossloom::eval {
namespace {

// Sums of at most a few hundred float64 terms below 10.
constexpr double kSumTolerance = 1e-13;

void expect_near(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_NEAR(a[i], b[i], tolerance) << "element " << i;
  }
}

double sum_of_leaves(const GraphMatrix& matrix, const Influence& flow) {
  return std::accumulate(flow.node.begin() + matrix.layout.first_error(),
                         flow.node.begin() + matrix.layout.first_target(), 0.0);
}

class RandomGraphs : public ::testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraphs, ::testing::Range<uint64_t>(1, 13));

TEST_P(RandomGraphs, WalkEqualsPowerSeries) {
  const GraphMatrix matrix = testing::random_graph(GetParam()).matrix;
  const auto oracle = testing::dense_influence(
      testing::dense_normalised(testing::dense(matrix), kRowFloor), testing::dense_weights(matrix));
  expect_near(influence(matrix).node, oracle, kSumTolerance);
}

TEST_P(RandomGraphs, WalkOnAPartEqualsPowerSeries) {
  const GraphMatrix matrix = testing::random_graph(GetParam()).matrix;
  testing::Draws draw(GetParam() + 1000);
  std::vector<uint8_t> keep(size_t(matrix.layout.count()), 1);
  for (size_t node = 0; node < size_t(matrix.layout.first_token()); ++node) {
    keep[node] = draw.uniform() < 0.7 ? 1 : 0;
  }
  testing::Dense a = testing::dense(matrix);
  for (size_t t = 0; t < a.size(); ++t) {
    for (size_t s = 0; s < a.size(); ++s) {
      a[t][s] = keep[t] != 0 && keep[s] != 0 ? a[t][s] : 0.0;
    }
  }
  const auto oracle = testing::dense_influence(testing::dense_normalised(a, kRowFloor),
                                               testing::dense_weights(matrix));
  expect_near(influence(matrix, BiasMode::kExcluded, keep).node, oracle, kSumTolerance);
}

TEST_P(RandomGraphs, LeavesAndBiasHoldAllWeight) {
  const GraphMatrix matrix = testing::random_graph(GetParam()).matrix;
  const double weight = std::accumulate(matrix.weights.begin(), matrix.weights.end(), 0.0);
  const Influence without = influence(matrix);
  EXPECT_NEAR(sum_of_leaves(matrix, without), weight, kSumTolerance);
  EXPECT_EQ(without.bias, 0.0);
  const Influence with = influence(matrix, BiasMode::kIncluded);
  EXPECT_NEAR(sum_of_leaves(matrix, with) + with.bias, weight, kSumTolerance);
  EXPECT_GT(with.bias, 0.0);
  EXPECT_LT(sum_of_leaves(matrix, with), weight);
}

TEST_P(RandomGraphs, IsLinearInTheWeights) {
  GraphMatrix matrix = testing::random_graph(GetParam()).matrix;
  const auto once = influence(matrix).node;
  for (double& weight : matrix.weights) {
    weight *= 8.0;  // a power of two: exact
  }
  const auto eightfold = influence(matrix).node;
  for (size_t i = 0; i < once.size(); ++i) {
    EXPECT_EQ(eightfold[i], 8.0 * once[i]);
  }
}

TEST_P(RandomGraphs, PathLengthsEqualPowerSeries) {
  const GraphMatrix matrix = testing::random_graph(GetParam()).matrix;
  const auto powers = testing::dense_powers(
      testing::dense_normalised(testing::dense(matrix), kRowFloor), testing::dense_weights(matrix));
  const PathLengths lengths = path_lengths(matrix);
  std::vector<double> share(lengths.share.size(), 0.0);
  double all = 0.0;
  for (size_t k = 0; k < powers.size(); ++k) {
    for (int64_t node = matrix.layout.first_token(); node < matrix.layout.first_target(); ++node) {
      share.at(k + 1) += powers[k][size_t(node)];
      all += powers[k][size_t(node)];
    }
  }
  double mean = 0.0;
  for (size_t k = 0; k < share.size(); ++k) {
    share[k] /= all;
    mean += double(k) * share[k];
  }
  expect_near(lengths.share, share, kSumTolerance);
  ASSERT_TRUE(lengths.mean_edges.has_value());
  EXPECT_NEAR(*lengths.mean_edges, mean, kSumTolerance);
  EXPECT_NEAR(std::accumulate(lengths.share.begin(), lengths.share.end(), 0.0), 1.0, kSumTolerance);
}

TEST_P(RandomGraphs, PartialInfluenceEqualsPowerSeriesOverKnownRows) {
  const GraphInput input = testing::random_input(GetParam(), {.selected_share = 0.5});
  const NodeLayout full = input.full_layout();
  std::vector<double> weights;
  for (const auto& target : input.targets) {
    weights.push_back(target.weight);
  }
  testing::Dense a(size_t(full.count()), std::vector<double>(size_t(full.count()), 0.0));
  for (size_t row = 0; row < input.rows.owners.size(); ++row) {
    const auto columns = input.rows.rows.columns(int64_t(row));
    for (size_t i = 0; i < columns.size(); ++i) {
      a[size_t(input.rows.owners[row])][size_t(columns[i])] =
          input.rows.rows.values(int64_t(row))[i];
    }
  }
  std::vector<double> all_weights(size_t(full.count()), 0.0);
  std::copy(weights.begin(), weights.end(), all_weights.end() - ptrdiff_t(weights.size()));
  auto oracle =
      testing::dense_influence(testing::dense_normalised(a, kPartialRowFloor), all_weights);
  oracle.resize(size_t(full.features));
  const auto result = partial_influence(full, input.rows, weights);
  expect_near(result, oracle, kSumTolerance);
  EXPECT_GT(*std::max_element(result.begin(), result.end()), 0.0);
}

TEST(PartialInfluence, DoesNotDependOnTheOrderOfRows) {
  const GraphInput input = testing::random_input(3, {.selected_share = 0.6});
  AttributionRows backwards;
  for (size_t row = input.rows.owners.size(); row-- > 0;) {
    backwards.owners.push_back(input.rows.owners[row]);
    backwards.facts.push_back(input.rows.facts[row]);
    backwards.rows.add_row(input.rows.rows.columns(int64_t(row)),
                           input.rows.rows.values(int64_t(row)));
  }
  const std::vector<double> weights = {0.5, 0.25, 0.125};
  EXPECT_EQ(partial_influence(input.full_layout(), input.rows, weights),
            partial_influence(input.full_layout(), backwards, weights));
}

TEST(BestUnvisited, TakesTheLargestAndTheLowerIndexOfTies) {
  const std::vector<double> influence = {0.1, 0.5, 0.0, 0.5, 0.5, 0.2};
  const std::vector<uint8_t> visited = {0, 0, 0, 1, 0, 0};
  EXPECT_EQ(best_unvisited(influence, visited, 3), (std::vector<int64_t>{1, 4, 5}));
  EXPECT_EQ(best_unvisited(influence, visited, 99), (std::vector<int64_t>{1, 4, 5, 0, 2}));
  EXPECT_TRUE(best_unvisited(influence, visited, 0).empty());
}

TEST(Influence, EmptyRowsAreNoDivisionByZero) {
  GraphMatrix matrix = testing::random_graph(1).matrix;
  const int64_t rows = matrix.layout.rows();
  matrix.rows = {};
  for (int64_t row = 0; row < rows; ++row) {
    matrix.rows.end_row();
  }
  for (const double value : influence(matrix).node) {
    EXPECT_EQ(value, 0.0);
  }
  EXPECT_FALSE(path_lengths(matrix).mean_edges.has_value());
}

TEST(Influence, TinyRowsAreClamped) {
  GraphMatrix matrix = testing::golden_graph().matrix;
  SparseRows rows;
  for (int64_t row = 0; row < matrix.layout.rows(); ++row) {
    if (row == matrix.layout.features) {
      rows.push(int32_t(matrix.layout.token(0)), 1e-12);
    }
    rows.end_row();
  }
  matrix.rows = rows;
  EXPECT_DOUBLE_EQ(influence(matrix).node[size_t(matrix.layout.token(0))], 1e-12 / kRowFloor);
}

}  // namespace
}  // namespace crossloom::eval
