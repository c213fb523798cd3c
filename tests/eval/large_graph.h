// Synthetic graphs of any size, for measuring; and what a run of pruning and scoring costs.
#pragma once

#include <cstdint>

#include "eval/graph.h"

namespace crossloom::eval::testing {

struct LargeShape {
  int64_t layers = 26;
  int64_t positions = 64;
  int64_t features_per_layer = 700;
  int64_t features_per_row = 275;  // sources among the features below, about
  int64_t error_positions = 11;    // positions back from the row's own whose errors are sources
};

/// Causal rows, evenly strewn over what lies below.
Graph large_graph(const LargeShape& shape);

/// Checks, prunes and scores `shape`'s graph, writes its JSON, prints times and the growth of the
/// process's peak memory. Returns that growth in bytes; fails the running test when the result is
/// empty.
double measure_large_graph(const LargeShape& shape);

}  // namespace crossloom::eval::testing
