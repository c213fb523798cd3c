// The attribution graph as data: who the nodes are, in which order, and the rows of direct effects.
//
//   A[t, s] = direct effect of source s on target t's pre-activation      (row = target)
//   node order:  features (M) · errors (L·S, layer-major) · tokens (S) · targets (Q)
//
// Only features and targets have rows; row r is feature r, or target r − M. Because features are
// in (layer, position, index) order and an effect only goes up, walking the rows backwards visits
// every node after all of its targets: influence needs one pass (influence.h).
//
// Row identity:  pre_activation = Σ_s A[t, s] + bias. Nothing here depends on LibTorch or a model.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "eval/sparse_rows.h"

namespace crossloom::eval {

enum class NodeKind : uint8_t { kFeature, kError, kToken, kTarget };

/// Node numbers of a graph with M features, L layers, S positions and Q targets.
struct NodeLayout {
  int64_t features = 0;   // M
  int64_t layers = 0;     // L
  int64_t positions = 0;  // S
  int64_t targets = 0;    // Q

  int64_t first_error() const { return features; }
  int64_t first_token() const { return features + layers * positions; }
  int64_t first_target() const { return first_token() + positions; }
  int64_t count() const { return first_target() + targets; }  // N
  int64_t rows() const { return features + targets; }

  int64_t error(int64_t layer, int64_t position) const {
    return features + layer * positions + position;
  }
  int64_t token(int64_t position) const { return first_token() + position; }
  int64_t target(int64_t number) const { return first_target() + number; }
  int64_t node_of_row(int64_t row) const {
    return row < features ? row : first_target() + row - features;
  }
  NodeKind kind(int64_t node) const {
    return node < first_error()    ? NodeKind::kFeature
           : node < first_token()  ? NodeKind::kError
           : node < first_target() ? NodeKind::kToken
                                   : NodeKind::kTarget;
  }
  bool operator==(const NodeLayout&) const = default;
};

/// An active feature: one (layer, position, index) with activation > 0.
struct FeatureNode {
  int32_t layer = 0;
  int32_t position = 0;
  int32_t index = 0;
  double activation = 0.0;

  std::strong_ordering place(const FeatureNode& other) const;
  bool operator==(const FeatureNode&) const = default;
};

/// A sink of the graph: a token of the vocabulary read at the last position (or any other vector).
struct TargetNode {
  int64_t id = 0;
  std::string text = {};     // the token, decoded alone
  double probability = 0.0;  // of the real model
  double weight = 0.0;       // w; the probability unless the caller chose another
  bool operator==(const TargetNode&) const = default;
};

/// What belongs to a row besides its sources.
struct RowFacts {
  double bias = 0.0;            // all bias parts together, the target's own b_enc among them
  double bias_absolute = 0.0;   // Σ |bias parts|: the scale of the rounding error
  double pre_activation = 0.0;  // measured in the clean forward pass
  bool operator==(const RowFacts&) const = default;
};

/// All that influence, pruning and scores read.
struct GraphMatrix {
  NodeLayout layout;
  std::vector<FeatureNode> features;  // [M], ascending
  SparseRows rows;                    // [M + Q] rows over N columns
  std::vector<RowFacts> facts;        // [M + Q]
  std::vector<double> weights;        // [Q], w ≥ 0

  int64_t error_of_feature(int64_t feature) const {
    const auto& node = features[static_cast<size_t>(feature)];
    return layout.error(node.layer, node.position);
  }
  /// w of a row: 0 for features.
  double weight_of_row(int64_t row) const {
    return row < layout.features ? 0.0 : weights[static_cast<size_t>(row - layout.features)];
  }
  bool operator==(const GraphMatrix&) const = default;
};

/// What became of the columns of active features that have no row of their own.
enum class DroppedColumns : uint8_t {
  kFold,  // added to the error of the same layer and position: row sums and scores stay
  kDrop   // left out, as circuit-tracer does
};

struct Graph {
  std::string prompt;                    // decoded ids, special tokens included
  std::vector<int64_t> token_ids;        // [S]
  std::vector<std::string> token_texts;  // [S], each id decoded alone
  std::vector<FeatureNode> active;       // [N_f], ascending (layer, position, index)
  std::vector<int64_t> selected;         // [M], ascending indices into `active`
  std::vector<TargetNode> targets;       // [Q]
  DroppedColumns dropped = DroppedColumns::kFold;
  double max_residual = 0.0;  // over all rows, before dropping anything
  GraphMatrix matrix;

  bool operator==(const Graph&) const = default;
};

/// |Σ sources + bias − pre-activation| / (Σ |sources| + Σ |bias parts|); 0 when both are 0.
double row_residual(std::span<const double> values, const RowFacts& facts);
/// The largest over all rows; not a number as soon as one of them is not.
double max_residual(const SparseRows& rows, std::span<const RowFacts> facts);

/// Empty when every invariant holds (order, sizes, causality, finite values, …), else a sentence.
std::string matrix_problem(const GraphMatrix& matrix);
std::string graph_problem(const Graph& graph);

}  // namespace crossloom::eval
