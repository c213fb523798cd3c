// Scores of one graph: how much of the model's computation the features explain.
//
//   replacement          Σ_T I / (Σ_T I + Σ_E I)
//   completeness         Σ_t (1 − Σ_{e∈E} Â[t, e])·(I_t + w_t) / Σ_t (I_t + w_t), all nodes (rows
//   of
//                        tokens and errors are empty: they count as complete)
//   completeness_strict  the same sums over features and targets only
//   completeness_eleuther   over all nodes without w (EleutherAI's unpruned form; never compare it
//   with
//                        the first)
//   mean path length     mean number of edges of the paths that end at a token
//
// None changes when w is rescaled. All lie in [0, 1] and are 0 where the denominator is 0 (a graph
// without any effect). Biases stay out of the normalisation; their share is reported beside.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "eval/influence.h"

namespace crossloom::eval {

struct GraphScores {
  double replacement = 0.0;
  double completeness = 0.0;           // circuit-tracer, Neuronpedia
  double completeness_strict = 0.0;    // features and targets only
  double completeness_eleuther = 0.0;  // without w
  std::optional<double> mean_path_length_edges;
  double token_influence = 0.0;  // Σ_T I
  double error_influence = 0.0;  // Σ_E I
  double bias_share = 0.0;       // of Σ w, when biases are normalised like any other source
};

GraphScores score_graph(const GraphMatrix& matrix);

/// The graph with only some of its features: each removed feature's column is added (signed) to the
/// error of the same layer and position, its row and column become empty; errors and tokens stay.
/// `keep` holds at least M marks (a PrunedGraph's [N] will do). Score it with score_graph for the
/// pruned and the subgraph score.
GraphMatrix with_features(const GraphMatrix& matrix, std::span<const uint8_t> keep);

}  // namespace crossloom::eval
