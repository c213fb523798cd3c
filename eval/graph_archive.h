// The raw graph in one safetensors file: everything that pruning, scores and JSON need, before any
// pruning. Names follow circuit-tracer's archive; the matrix is compressed by rows.
//
//   active_features int64 [N_f, 3] (layer, position, index) · activation_values [N_f]
//   selected_features int64 [M] · input_tokens int64 [S] · logit_ids int64 [Q]
//   logit_probabilities, logit_weights [Q]
//   row_offsets int64 [N + 1] · columns int32 [entries] · values [entries]   rows of errors and
//                                                                           tokens are empty
//   bias, bias_absolute, pre_activation [N] · adjacency_matrix [N, N] on request, never read back
//   metadata: "format", "version", and "graph": JSON with the strings, sizes and settings
#pragma once

#include <string>

#include "common/dtype.h"
#include "common/json_file.h"
#include "eval/graph.h"

namespace crossloom::eval {

inline constexpr const char* kGraphArchiveFormat = "crossloom-graph";
inline constexpr const char* kGraphArchiveVersion = "1";

struct GraphArchiveOptions {
  /// Type of all real numbers: kF32, or kF64 for a graph computed in float64.
  DType real = DType::kF32;
  /// Also the dense matrix, 4 or 8 bytes for each of N² pairs; at most kMostDenseNodes nodes.
  bool dense = false;
  std::string scan = {};
  Json settings = Json::object();  // kept as given: how the graph was computed
};

inline constexpr int64_t kMostDenseNodes = 32768;

/// Atomic. Throws DataError (files), ConfigError (too large for a dense matrix).
void write_graph_archive(const std::string& path, const Graph& graph,
                         const GraphArchiveOptions& options = {});

struct GraphArchive {
  Graph graph;
  std::string scan = {};
  Json settings;
};

/// Throws DataError when the file is damaged, of another kind or version, or not a valid graph.
GraphArchive read_graph_archive(const std::string& path);

}  // namespace crossloom::eval
