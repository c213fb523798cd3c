// Influence: how much of the targets' weight flows back to each node along absolute, row-normalised
// effects.
//
//   Â[t, s] = |A[t, s]| / max(Σ_s |A[t, s]|, clamp)          I = wÂ + wÂ² + …
//
// Computed exactly in one backward walk over the rows (graph.h: targets first, then features from
// the top): with acc[t] = w[t] + I[t], every row adds acc[t]·Â[t, s] to its sources. No power
// iteration, no N² matrix.
//
// Every path ends at a token, an error or (when it takes part) the bias, so
//   Σ_T I + Σ_E I + I_bias = Σ w    unless a row that is reached is empty.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "eval/graph.h"
#include "eval/graph_assembly.h"

namespace crossloom::eval {

/// Floor of a row's Σ|A| in the full matrix, and in the partial one used for ranking.
inline constexpr double kRowFloor = 1e-10;
inline constexpr double kPartialRowFloor = 1e-8;

/// Whether a row's bias is one of its sources when the row is normalised.
enum class BiasMode : uint8_t {
  kExcluded,  // as circuit-tracer: all headline scores
  kIncluded   // the bias takes its share, reported as Influence::bias
};

struct Influence {
  std::vector<double> node;       // [N], I
  std::vector<double> row_total;  // [M + Q], max(Σ|A| (+ |bias|), kRowFloor) over kept sources
  double bias = 0.0;              // share of Σ w that ends in biases (kIncluded)
};

/// `keep` [N] (empty: all): rows and columns of the others count as zero.
Influence influence(const GraphMatrix& matrix, BiasMode bias = BiasMode::kExcluded,
                    std::span<const uint8_t> keep = {});

/// I[t] + w[t] of the node that owns a row.
double arriving(const GraphMatrix& matrix, const Influence& influence, int64_t row);

/// Influence of all active features from the rows known so far: [N_f]. Unknown features pass
/// nothing on. `weights` [Q].
std::vector<double> partial_influence(const NodeLayout& full, const AttributionRows& known,
                                      std::span<const double> weights);

/// The `count` unvisited features with the largest influence, best first; ties: lower index first.
/// `visited` [N_f]. Fewer when fewer are left.
std::vector<int64_t> best_unvisited(std::span<const double> influence,
                                    std::span<const uint8_t> visited, int64_t count);

struct PathLengths {
  /// share[k]: part of the influence on tokens that arrives over paths of k edges, k = 0 … L + 1.
  /// All zero when no token is reached.
  std::vector<double> share;
  /// Σ k·share[k]; absent when no token is reached.
  std::optional<double> mean_edges;
};

/// p_k = Σ_T (wÂᵏ) / Σ_T I.
PathLengths path_lengths(const GraphMatrix& matrix);

}  // namespace crossloom::eval
