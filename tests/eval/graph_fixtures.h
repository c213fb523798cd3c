// Graphs for the tests: the golden one, random causal ones, and the slow dense version of
// everything as an oracle.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/json_file.h"
#include "common/rng.h"
#include "eval/graph_assembly.h"
#include "eval/pruning.h"

namespace crossloom::eval::testing {

/// A stream of draws from the counter-based generator.
class Draws {
 public:
  explicit Draws(uint64_t seed) : rng_(seed, Purpose::kTest) {}
  double uniform() { return rng_.uniform_double(next_++); }
  double between(double low, double high) { return low + (high - low) * uniform(); }
  int64_t below(int64_t n) { return static_cast<int64_t>(uniform() * static_cast<double>(n)); }

 private:
  Rng rng_;
  uint64_t next_ = 0;
};

Json golden_file(const std::string& name);

/// "5/12" → 5.0/12.0; "3" → 3.0.
double fraction(const std::string& text);

/// The golden graph without the edges `deleted`, each "target<source".
Graph golden_graph(const std::vector<std::string>& deleted = {});

struct RandomShape {
  int64_t layers = 4;
  int64_t positions = 5;
  int64_t targets = 3;
  int64_t per_cell = 3;         // at most so many active features per (layer, position)
  double density = 0.4;         // of the causal entries
  double selected_share = 1.0;  // of the active features get a row
};

/// Causal, with non-empty rows for every feature and target, and pre-activations that equal the
/// rows' sums.
GraphInput random_input(uint64_t seed, const RandomShape& shape = {});
Graph random_graph(uint64_t seed, const RandomShape& shape = {});

// The oracle: dense, literal, slow. All matrices [N, N], row = target.
using Dense = std::vector<std::vector<double>>;
Dense dense(const GraphMatrix& matrix);
std::vector<double> dense_weights(const GraphMatrix& matrix);  // [N]
/// |A| with every row divided by max(its sum, floor).
Dense dense_normalised(const Dense& matrix, double floor);
/// wÂ, wÂ², … until nothing is left.
std::vector<std::vector<double>> dense_powers(const Dense& normalised, std::vector<double> weights);
std::vector<double> dense_influence(const Dense& normalised, const std::vector<double>& weights);
/// The threshold rule by a full sort.
double sorted_cutoff(std::vector<double> scores, double threshold);
/// Sections "nodes", "edges", "clean-up" of the definition, literally. `edges`[t][s] and `keep`.
struct DensePruned {
  std::vector<bool> keep;
  std::vector<std::vector<bool>> edges;
};
DensePruned dense_prune(const GraphMatrix& matrix, double node_threshold, double edge_threshold);

}  // namespace crossloom::eval::testing
