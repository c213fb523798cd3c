// Assembly: order of rows does not matter, folding keeps sums, residuals, refusals.
#include "eval/graph_assembly.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "eval/scores.h"
#include "tests/eval/graph_fixtures.h"

namespace crossloom::eval {
namespace {

constexpr double kTolerance = 1e-13;

double sum_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

GraphInput reordered(const GraphInput& input) {
  GraphInput result = input;
  result.rows = {};
  const auto count = int64_t(input.rows.owners.size());
  const Rng rng(4, Purpose::kTest);
  for (int64_t i = 0; i < count; ++i) {
    const auto row = int64_t(rng.permute(uint64_t(i), uint64_t(count)));
    result.rows.owners.push_back(input.rows.owners[size_t(row)]);
    result.rows.facts.push_back(input.rows.facts[size_t(row)]);
    result.rows.rows.add_row(input.rows.rows.columns(row), input.rows.rows.values(row));
  }
  return result;
}

TEST(Assembly, OrderOfRowsDoesNotMatter) {
  const GraphInput input = testing::random_input(1, {.selected_share = 0.5});
  ASSERT_NE(reordered(input).rows.owners, input.rows.owners);
  EXPECT_EQ(assemble_graph(reordered(input)), assemble_graph(input));
}

TEST(Assembly, FoldingKeepsEveryRowSum) {
  for (uint64_t seed = 1; seed < 8; ++seed) {
    const GraphInput input = testing::random_input(seed, {.selected_share = 0.4});
    const Graph graph = assemble_graph(input);
    ASSERT_LT(graph.selected.size(), graph.active.size());
    ASSERT_GT(graph.selected.size(), 0U);
    EXPECT_LT(graph.max_residual, kTolerance);
    EXPECT_LT(max_residual(graph.matrix.rows, graph.matrix.facts), kTolerance);
    for (size_t row = 0; row < input.rows.owners.size(); ++row) {
      const auto owner = input.rows.owners[row];
      const auto found = std::find(graph.selected.begin(), graph.selected.end(), owner);
      const int64_t at =
          found != graph.selected.end()
              ? found - graph.selected.begin()
              : owner - input.full_layout().first_target() + graph.matrix.layout.features;
      EXPECT_NEAR(sum_of(graph.matrix.rows.values(at)),
                  sum_of(input.rows.rows.values(int64_t(row))), kTolerance);
    }
  }
}

TEST(Assembly, FoldedColumnsLandInTheErrorOfTheirCell) {
  GraphInput input =
      testing::random_input(2, {.layers = 2, .positions = 1, .targets = 1, .per_cell = 0});
  input.active = {{.layer = 0, .position = 0, .index = 3, .activation = 1.0},
                  {.layer = 0, .position = 0, .index = 5, .activation = 1.0},
                  {.layer = 1, .position = 0, .index = 4, .activation = 1.0}};
  input.rows = {};
  // Sources: features 0–2, errors 3–4, token 5; the target is node 6.
  const std::vector<double> target = {1.0, 2.0, 4.0, 8.0, 16.0, 32.0};
  const std::vector<double> feature = {0.0, 0.0, 0.0, 0.0, 0.0, 64.0};
  input.rows.add<double>(6, target, {0, 0, 63});
  input.rows.add<double>(1, feature, {0, 0, 64});
  const Graph folded = assemble_graph(input, DroppedColumns::kFold);
  const auto values = folded.matrix.rows.values(1);
  EXPECT_EQ(folded.selected, std::vector<int64_t>{1});
  EXPECT_EQ(std::vector<double>(values.begin(), values.end()),
            (std::vector<double>{2.0, 9.0, 20.0, 32.0}));
  const Graph dropped = assemble_graph(input, DroppedColumns::kDrop);
  const auto left = dropped.matrix.rows.values(1);
  EXPECT_EQ(std::vector<double>(left.begin(), left.end()),
            (std::vector<double>{2.0, 8.0, 16.0, 32.0}));
  EXPECT_EQ(dropped.max_residual, 0.0);  // measured on the full rows
}

TEST(Assembly, FoldingEqualsTakingFeaturesAway) {
  // Rows for all features, then only some kept, is the same graph as never computing the others.
  const GraphInput all = testing::random_input(7);
  const Graph whole = assemble_graph(all);
  GraphInput some = all;
  some.rows = {};
  std::vector<uint8_t> keep(all.active.size(), 0);
  for (size_t row = 0; row < all.rows.owners.size(); ++row) {
    const auto owner = size_t(all.rows.owners[row]);
    if (owner >= keep.size() || owner % 3 != 0) {
      some.rows.owners.push_back(int64_t(owner));
      some.rows.facts.push_back(all.rows.facts[row]);
      some.rows.rows.add_row(all.rows.rows.columns(int64_t(row)),
                             all.rows.rows.values(int64_t(row)));
      if (owner < keep.size()) {
        keep[owner] = 1;
      }
    }
  }
  const GraphScores folded = score_graph(assemble_graph(some).matrix);
  const GraphScores removed = score_graph(with_features(whole.matrix, keep));
  EXPECT_NEAR(folded.replacement, removed.replacement, kTolerance);
  EXPECT_NEAR(folded.completeness_strict, removed.completeness_strict, kTolerance);
}

TEST(Residual, SeesAMissingBias) {
  const std::vector<double> values = {1.0, -2.0};
  EXPECT_EQ(row_residual(values, {.bias = 0.5, .bias_absolute = 1.0, .pre_activation = -0.5}), 0.0);
  EXPECT_DOUBLE_EQ(
      row_residual(values, {.bias = 0.0, .bias_absolute = 1.0, .pre_activation = -0.5}), 0.5 / 4.0);
  EXPECT_EQ(row_residual({}, {}), 0.0);
  EXPECT_TRUE(std::isinf(row_residual({}, {.pre_activation = 1.0})));
  SparseRows rows;
  rows.add_row(std::vector<int32_t>{0}, std::vector<double>{std::nan("")});
  EXPECT_TRUE(std::isnan(max_residual(rows, std::vector<RowFacts>{{}})));
}

TEST(Assembly, RefusesValuesThatAreNotFinite) {
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    GraphInput input = testing::random_input(1);
    std::vector<double> row(size_t(input.full_layout().first_target()), 0.0);
    row[size_t(input.full_layout().token(0))] = bad;
    AttributionRows rows;
    rows.add<double>(input.full_layout().target(0), row, {});
    input.rows = rows;
    EXPECT_THROW(assemble_graph(input), DataError);
  }
}

TEST(Assembly, RefusesRowsThatCannotBe) {
  const GraphInput good = testing::random_input(1);
  const NodeLayout full = good.full_layout();
  const std::vector<double> empty(size_t(full.first_target()), 0.0);

  GraphInput twice = good;
  twice.rows.add<double>(twice.rows.owners[0], empty, {});
  EXPECT_THROW(assemble_graph(twice), InternalError);

  GraphInput missing = good;
  missing.targets.push_back({.id = 77, .text = "", .probability = 0.1, .weight = 0.1});
  EXPECT_THROW(assemble_graph(missing), InternalError);

  GraphInput of_error = good;
  of_error.rows.add<double>(full.error(0, 0), empty, {});
  EXPECT_THROW(assemble_graph(of_error), InternalError);

  GraphInput downwards = good;
  downwards.rows = {};
  std::vector<double> row = empty;
  row[size_t(full.features) - 1] = 1.0;  // a top feature as the source of a bottom one
  downwards.rows.add<double>(0, row, {});
  for (int64_t target = 0; target < full.targets; ++target) {
    downwards.rows.add<double>(full.target(target), empty, {});
  }
  EXPECT_THROW(assemble_graph(downwards), InternalError);

  GraphInput unsorted = good;
  std::swap(unsorted.active[0], unsorted.active[1]);
  EXPECT_THROW(assemble_graph(unsorted), InternalError);

  GraphInput same_target = good;
  same_target.targets[1].id = same_target.targets[0].id;
  EXPECT_THROW(assemble_graph(same_target), InternalError);
}

TEST(Assembly, MakesTextsValidUtf8) {
  GraphInput input = testing::random_input(1);
  input.token_texts[0] = "a\xff";
  input.targets[0].text = "\xe4\xbd";
  input.prompt = "caf\xc3\xa9 \xc3";
  const Graph graph = assemble_graph(input);
  EXPECT_EQ(graph.token_texts[0], "a\xef\xbf\xbd");
  EXPECT_EQ(graph.targets[0].text, "\xef\xbf\xbd");
  EXPECT_EQ(graph.prompt, "caf\xc3\xa9 \xef\xbf\xbd");
}

TEST(SparseRows, RefusesColumnsThatDoNotAscend) {
  SparseRows rows;
  rows.push(3, 1.0);
  EXPECT_THROW(rows.push(3, 1.0), InternalError);
  EXPECT_THROW(rows.push(-1, 1.0), InternalError);
  rows.push(4, 0.0);  // a zero is not stored
  rows.end_row();
  rows.push(0, 2.0);  // a new row begins anew
  rows.end_row();
  EXPECT_EQ(rows.entry_count(), 2);
  EXPECT_EQ(rows.row_count(), 2);
}

}  // namespace
}  // namespace crossloom::eval
