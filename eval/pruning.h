// Pruning: the smallest part of a graph that carries most of its influence.
//
// 1 nodes   keep the smallest set whose influence reaches `node_threshold` of the total; tokens and
//           targets stay whatever they score
// 2 edges   on the kept nodes, renormalised: score[t, s] = Â'[t, s]·(I'[t] + w[t]); the same rule
//           with `edge_threshold`
// 3 clean-up to a fixed point: features and errors need a kept edge out, features one in
//
// The threshold rule: sort descending, cutoff = the score at which the cumulative share first
// reaches the threshold; everything ≥ cutoff stays, so ties are kept and the sort order does not
// matter. A score of 0 never passes (a cutoff of 0 would otherwise let every absent edge in), and a
// threshold of 1 keeps every score above 0.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/influence.h"

namespace crossloom::eval {

struct PruneOptions {
  double node_threshold = 0.8;   // in [0, 1]
  double edge_threshold = 0.98;  // in [0, 1]
  /// At most so many edges, the best-scoring ones (ties: lower target, then lower source);
  /// 0: no cap.
  int64_t max_edges = 0;
};

struct Edge {
  int32_t source = 0;  // node numbers
  int32_t target = 0;
  double weight = 0.0;  // A[target, source], signed
  double score = 0.0;
  bool operator==(const Edge&) const = default;
};

struct PrunedGraph {
  PruneOptions options;
  std::vector<uint8_t> keep;             // [N]
  std::vector<Edge> edges;               // ascending (row of the target, source)
  std::vector<double> cumulative_share;  // [N], of the unpruned graph: small = important
  double node_cutoff = 0.0;
  double edge_cutoff = 0.0;
};

/// Throws ConfigError when a threshold lies outside [0, 1] or the cap is negative.
PrunedGraph prune(const GraphMatrix& matrix, const PruneOptions& options = {});

/// The threshold rule's cutoff; 0 when no score is above 0. Scores are ≥ 0 and finite.
/// By histogram over the scores' leading bits, then a sort inside one bucket only.
double share_cutoff(std::span<const double> scores, double threshold);

/// Per node its share of the total in descending order, itself included; ties: lower index first.
/// All 1 when the total is 0.
std::vector<double> cumulative_share(std::span<const double> influence);

/// Â[t, s]·(I[t] + w[t]) of every stored entry, in storage order; 0 where an end is not kept.
std::vector<double> edge_scores(const GraphMatrix& matrix, const Influence& influence,
                                std::span<const uint8_t> keep = {});

}  // namespace crossloom::eval
