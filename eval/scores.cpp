#include "eval/scores.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace crossloom::eval {
namespace {

double sum_of(std::span<const double> values, int64_t begin, int64_t end) {
  return std::accumulate(values.begin() + begin, values.begin() + end, 0.0);
}

/// Rounding may leave a share a few ulp outside [0, 1].
double share_of(double part, double whole) {
  return whole > 0.0 ? std::clamp(part / whole, 0.0, 1.0) : 0.0;
}

/// Σ_{e∈E} Â[t, e] of one row.
double error_fraction(const GraphMatrix& matrix, const Influence& influence, int64_t row) {
  const auto columns = matrix.rows.columns(row);
  const auto values = matrix.rows.values(row);
  double sum = 0.0;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (matrix.layout.kind(columns[i]) == NodeKind::kError) {
      sum += std::abs(values[i]);
    }
  }
  return sum / influence.row_total[size_t(row)];
}

}  // namespace

GraphScores score_graph(const GraphMatrix& matrix) {
  const NodeLayout& layout = matrix.layout;
  const Influence flow = influence(matrix);
  GraphScores scores;
  scores.token_influence = sum_of(flow.node, layout.first_token(), layout.first_target());
  scores.error_influence = sum_of(flow.node, layout.first_error(), layout.first_token());
  const double leaves = scores.token_influence + scores.error_influence;
  scores.replacement = share_of(scores.token_influence, leaves);

  double missing = 0.0;           // Σ_t errors' share · (I + w)
  double missing_eleuther = 0.0;  // Σ_t errors' share · I
  for (int64_t row = 0; row < layout.rows(); ++row) {
    const double errors = error_fraction(matrix, flow, row);
    missing += errors * arriving(matrix, flow, row);
    missing_eleuther += errors * flow.node[size_t(layout.node_of_row(row))];
  }
  const double weight = sum_of(matrix.weights, 0, layout.targets);
  const double features = sum_of(flow.node, 0, layout.first_error());
  const double strict = features + weight;
  const double all = strict + leaves;
  const double plain = features + leaves;
  scores.completeness = share_of(all - missing, all);
  scores.completeness_strict = share_of(strict - missing, strict);
  scores.completeness_eleuther = share_of(plain - missing_eleuther, plain);
  scores.mean_path_length_edges = path_lengths(matrix).mean_edges;
  scores.bias_share = share_of(influence(matrix, BiasMode::kIncluded).bias, weight);
  return scores;
}

GraphMatrix with_features(const GraphMatrix& matrix, std::span<const uint8_t> keep) {
  const NodeLayout& layout = matrix.layout;
  CROSSLOOM_CHECK(std::cmp_greater_equal(keep.size(), layout.features), "{} marks, {} features",
                  keep.size(), layout.features);
  ColumnMap map{.from = layout, .to = layout, .feature = {}};
  for (int64_t feature = 0; feature < layout.features; ++feature) {
    map.feature.push_back(
        int32_t(keep[size_t(feature)] != 0 ? feature : matrix.error_of_feature(feature)));
  }
  GraphMatrix result{.layout = layout,
                     .features = matrix.features,
                     .rows = {},
                     .facts = matrix.facts,
                     .weights = matrix.weights};
  const SparseRows moved = map_columns(matrix.rows, map);
  result.rows.reserve(moved.entry_count());
  for (int64_t row = 0; row < layout.rows(); ++row) {
    if (row < layout.features && keep[size_t(row)] == 0) {
      result.facts[size_t(row)] = {};
      result.rows.end_row();
    } else {
      result.rows.add_row(moved.columns(row), moved.values(row));
    }
  }
  return result;
}

}  // namespace crossloom::eval
