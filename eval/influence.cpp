#include "eval/influence.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace crossloom::eval {
namespace {

double absolute_sum(std::span<const int32_t> columns, std::span<const double> values,
                    std::span<const uint8_t> keep) {
  double sum = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (keep.empty() || keep[size_t(columns[i])] != 0) {
      sum += std::abs(values[i]);
    }
  }
  return sum;
}

/// node[s] += mass · |A[t, s]| / total for the kept sources of one row.
void push_back_mass(std::span<const int32_t> columns, std::span<const double> values,
                    std::span<const uint8_t> keep, double mass, double total,
                    std::vector<double>& node) {
  for (size_t i = 0; i < values.size(); ++i) {
    const auto source = size_t(columns[i]);
    if (keep.empty() || keep[source] != 0) {
      node[source] += mass * (std::abs(values[i]) / total);
    }
  }
}

}  // namespace

Influence influence(const GraphMatrix& matrix, BiasMode bias, std::span<const uint8_t> keep) {
  const NodeLayout& layout = matrix.layout;
  CROSSLOOM_CHECK(keep.empty() || std::cmp_equal(keep.size(), layout.count()),
                  "{} marks for {} nodes", keep.size(), layout.count());
  Influence result;
  result.node.assign(size_t(layout.count()), 0.0);
  result.row_total.assign(size_t(layout.rows()), kRowFloor);
  for (int64_t row = layout.rows() - 1; row >= 0; --row) {
    const auto node = size_t(layout.node_of_row(row));
    if (!keep.empty() && keep[node] == 0) {
      continue;
    }
    const auto columns = matrix.rows.columns(row);
    const auto values = matrix.rows.values(row);
    const double own_bias =
        bias == BiasMode::kIncluded ? std::abs(matrix.facts[size_t(row)].bias) : 0.0;
    const double total = std::max(absolute_sum(columns, values, keep) + own_bias, kRowFloor);
    result.row_total[size_t(row)] = total;
    const double mass = matrix.weight_of_row(row) + result.node[node];
    if (mass > 0.0) {
      push_back_mass(columns, values, keep, mass, total, result.node);
      result.bias += mass * (own_bias / total);
    }
  }
  return result;
}

double arriving(const GraphMatrix& matrix, const Influence& influence, int64_t row) {
  return matrix.weight_of_row(row) + influence.node[size_t(matrix.layout.node_of_row(row))];
}

std::vector<double> partial_influence(const NodeLayout& full, const AttributionRows& known,
                                      std::span<const double> weights) {
  CROSSLOOM_CHECK(std::cmp_equal(weights.size(), full.targets), "{} weights for {} targets",
                  weights.size(), full.targets);
  std::vector<size_t> order(known.owners.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return known.owners[a] > known.owners[b]; });
  std::vector<double> node(size_t(full.count()), 0.0);
  for (const size_t row : order) {
    const int64_t owner = known.owners[row];
    const double mass = owner < full.first_target() ? node[size_t(owner)]
                                                    : weights[size_t(owner - full.first_target())];
    if (mass > 0.0) {
      const auto columns = known.rows.columns(int64_t(row));
      const auto values = known.rows.values(int64_t(row));
      const double total = std::max(absolute_sum(columns, values, {}), kPartialRowFloor);
      push_back_mass(columns, values, {}, mass, total, node);
    }
  }
  node.resize(size_t(full.features));
  return node;
}

std::vector<int64_t> best_unvisited(std::span<const double> influence,
                                    std::span<const uint8_t> visited, int64_t count) {
  CROSSLOOM_CHECK(influence.size() == visited.size(), "{} features, {} marks", influence.size(),
                  visited.size());
  std::vector<int64_t> left;
  for (size_t i = 0; i < visited.size(); ++i) {
    if (visited[i] == 0) {
      left.push_back(int64_t(i));
    }
  }
  const auto kept = std::min(left.size(), size_t(std::max<int64_t>(count, 0)));
  std::partial_sort(left.begin(), left.begin() + ptrdiff_t(kept), left.end(),
                    [&](int64_t a, int64_t b) {
                      const double x = influence[size_t(a)];
                      const double y = influence[size_t(b)];
                      return x != y ? x > y : a < b;
                    });
  left.resize(kept);
  return left;
}

PathLengths path_lengths(const GraphMatrix& matrix) {
  const NodeLayout& layout = matrix.layout;
  const Influence total = influence(matrix);
  const auto steps = size_t(layout.layers) + 2;                    // paths have 1 … L + 1 edges
  std::vector<double> mass(size_t(layout.features) * steps, 0.0);  // [M, L + 2]
  std::vector<double> own(steps);
  PathLengths result{.share = std::vector<double>(steps, 0.0), .mean_edges = std::nullopt};
  for (int64_t row = layout.rows() - 1; row >= 0; --row) {
    std::fill(own.begin(), own.end(), 0.0);
    if (row < layout.features) {
      std::copy_n(mass.begin() + ptrdiff_t(size_t(row) * steps), steps, own.begin());
    }
    own[0] += matrix.weight_of_row(row);
    const auto columns = matrix.rows.columns(row);
    const auto values = matrix.rows.values(row);
    double to_tokens = 0.0;
    for (size_t i = 0; i < columns.size(); ++i) {
      const double share = std::abs(values[i]) / total.row_total[size_t(row)];
      if (columns[i] >= layout.first_token()) {
        to_tokens += share;
      } else if (columns[i] < layout.first_error()) {
        double* at = mass.data() + size_t(columns[i]) * steps;
        for (size_t k = 1; k < steps; ++k) {
          at[k] += own[k - 1] * share;
        }
      }
    }
    for (size_t k = 1; k < steps; ++k) {
      result.share[k] += own[k - 1] * to_tokens;
    }
  }
  const double all = std::accumulate(result.share.begin(), result.share.end(), 0.0);
  if (all > 0.0) {
    double mean = 0.0;
    for (size_t k = 0; k < steps; ++k) {
      result.share[k] /= all;
      mean += double(k) * result.share[k];
    }
    result.mean_edges = mean;
  }
  return result;
}

}  // namespace crossloom::eval
