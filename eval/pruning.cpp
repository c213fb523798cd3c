#include "eval/pruning.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <iterator>
#include <numeric>
#include <utility>

namespace crossloom::eval {
namespace {

// A share counts as reached when rounding alone keeps it below the threshold: sums of 1e8 float64
// scores are good to about this.
constexpr double kShareSlack = 1e-12;

// Scores closer than this are ties: equal ones may differ by rounding in the last bits.
constexpr double kTieSlack = 1e-12;

bool passes(double score, double cutoff) {
  return score > 0.0 && score >= cutoff * (1.0 - kTieSlack);
}

// Positive doubles order like their bits: 11 exponent and 4 mantissa bits give 32,768 buckets.
constexpr int kBucketShift_bits = 48;
constexpr size_t kBuckets = size_t{1} << 15;

size_t bucket_of(double score) {
  return size_t(std::bit_cast<uint64_t>(score) >> kBucketShift_bits);
}

void require_share(const char* key, double value) {
  if (!(value >= 0.0 && value <= 1.0)) {
    throw ConfigError({.what = fmt::format("'{}' is not a share", key),
                       .expected = "a number from 0 to 1",
                       .got = fmt::format("{}", value),
                       .where = key,
                       .hint = "0.8 for nodes and 0.98 for edges are the usual values."});
  }
}

/// Edges whose two ends are kept and whose score passes, in storage order.
std::vector<Edge> passing_edges(const GraphMatrix& matrix, std::span<const double> scores,
                                double cutoff) {
  std::vector<Edge> edges;
  for (int64_t row = 0; row < matrix.layout.rows(); ++row) {
    const auto columns = matrix.rows.columns(row);
    const auto values = matrix.rows.values(row);
    const auto begin = size_t(matrix.rows.begin(row));
    for (size_t i = 0; i < columns.size(); ++i) {
      const double score = scores[begin + i];
      if (passes(score, cutoff)) {
        edges.push_back({.source = columns[i],
                         .target = int32_t(matrix.layout.node_of_row(row)),
                         .weight = values[i],
                         .score = score});
      }
    }
  }
  return edges;
}

void keep_best(std::vector<Edge>& edges, size_t count) {
  if (edges.size() <= count) {
    return;
  }
  const auto by_place = [](const Edge& a, const Edge& b) {
    return a.target != b.target ? a.target < b.target : a.source < b.source;
  };
  std::nth_element(edges.begin(), edges.begin() + ptrdiff_t(count), edges.end(),
                   [&](const Edge& a, const Edge& b) {
                     return a.score != b.score ? a.score > b.score : by_place(a, b);
                   });
  edges.resize(count);
  std::sort(edges.begin(), edges.end(), by_place);
}

/// Step 3. Each turn costs the edges that are left; a chain of L features needs at most L turns.
void clean_up(const NodeLayout& layout, std::vector<uint8_t>& keep, std::vector<Edge>& edges) {
  std::vector<uint8_t> has_out(keep.size());
  std::vector<uint8_t> has_in(keep.size());
  for (bool changed = true; changed;) {
    changed = false;
    std::fill(has_out.begin(), has_out.end(), uint8_t{0});
    std::fill(has_in.begin(), has_in.end(), uint8_t{0});
    for (const Edge& edge : edges) {
      has_out[size_t(edge.source)] = 1;
      has_in[size_t(edge.target)] = 1;
    }
    for (size_t node = 0; node < size_t(layout.first_token()); ++node) {
      const bool needs_in = std::cmp_less(node, layout.first_error());
      if (keep[node] != 0 && (has_out[node] == 0 || (needs_in && has_in[node] == 0))) {
        keep[node] = 0;
        changed = true;
      }
    }
    std::erase_if(edges, [&](const Edge& edge) {
      return keep[size_t(edge.source)] == 0 || keep[size_t(edge.target)] == 0;
    });
  }
}

}  // namespace

double share_cutoff(std::span<const double> scores, double threshold) {
  std::vector<double> sums(kBuckets, 0.0);
  double smallest = 0.0;
  for (const double score : scores) {
    if (score > 0.0) {
      sums[bucket_of(score)] += score;
      smallest = smallest > 0.0 ? std::min(smallest, score) : score;
    }
  }
  if (threshold >= 1.0) {
    return smallest;
  }
  const double total = std::accumulate(sums.begin(), sums.end(), 0.0);
  const double goal = (threshold - kShareSlack) * total;
  double above = 0.0;  // what the buckets above the current one hold
  for (size_t bucket = kBuckets; bucket-- > 0;) {
    if (sums[bucket] == 0.0 || above + sums[bucket] < goal) {
      above += sums[bucket];
      continue;
    }
    std::vector<double> members;
    std::copy_if(scores.begin(), scores.end(), std::back_inserter(members),
                 [&](double score) { return score > 0.0 && bucket_of(score) == bucket; });
    std::sort(members.begin(), members.end(), std::greater<>());
    for (const double score : members) {
      above += score;
      if (above >= goal) {
        return score;
      }
    }
    return members.back();
  }
  return smallest;
}

std::vector<double> cumulative_share(std::span<const double> influence) {
  std::vector<size_t> order(influence.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return influence[a] > influence[b]; });
  double total = 0.0;
  for (const size_t node : order) {
    total += influence[node];  // the order of the sums below: the last share is 1 exactly
  }
  std::vector<double> share(influence.size(), 1.0);
  double sum = 0.0;
  for (size_t i = 0; total > 0.0 && i < order.size(); ++i) {
    sum += influence[order[i]];
    share[order[i]] = sum / total;
  }
  return share;
}

std::vector<double> edge_scores(const GraphMatrix& matrix, const Influence& influence,
                                std::span<const uint8_t> keep) {
  std::vector<double> scores(size_t(matrix.rows.entry_count()), 0.0);
  for (int64_t row = 0; row < matrix.layout.rows(); ++row) {
    if (!keep.empty() && keep[size_t(matrix.layout.node_of_row(row))] == 0) {
      continue;
    }
    const double mass = arriving(matrix, influence, row);
    const auto columns = matrix.rows.columns(row);
    const auto values = matrix.rows.values(row);
    const auto begin = size_t(matrix.rows.begin(row));
    for (size_t i = 0; i < columns.size(); ++i) {
      if (keep.empty() || keep[size_t(columns[i])] != 0) {
        scores[begin + i] = mass * (std::abs(values[i]) / influence.row_total[size_t(row)]);
      }
    }
  }
  return scores;
}

PrunedGraph prune(const GraphMatrix& matrix, const PruneOptions& options) {
  require_share("node_threshold", options.node_threshold);
  require_share("edge_threshold", options.edge_threshold);
  if (options.max_edges < 0) {
    throw ConfigError({.what = "The cap on edges is negative",
                       .expected = "0 (no cap) or a number of edges",
                       .got = fmt::format("{}", options.max_edges),
                       .where = "max_edges",
                       .hint = "Use 0 to keep all."});
  }
  const NodeLayout& layout = matrix.layout;
  const Influence full = influence(matrix);
  PrunedGraph pruned;
  pruned.options = options;
  pruned.cumulative_share = cumulative_share(full.node);
  pruned.node_cutoff = share_cutoff(full.node, options.node_threshold);
  pruned.keep.assign(size_t(layout.count()), 1);
  for (size_t node = 0; node < size_t(layout.first_token()); ++node) {
    pruned.keep[node] = passes(full.node[node], pruned.node_cutoff) ? 1 : 0;
  }
  const Influence kept = influence(matrix, BiasMode::kExcluded, pruned.keep);
  const std::vector<double> scores = edge_scores(matrix, kept, pruned.keep);
  pruned.edge_cutoff = share_cutoff(scores, options.edge_threshold);
  pruned.edges = passing_edges(matrix, scores, pruned.edge_cutoff);
  if (options.max_edges > 0) {
    keep_best(pruned.edges, size_t(options.max_edges));
  }
  clean_up(layout, pruned.keep, pruned.edges);
  return pruned;
}

}  // namespace crossloom::eval
