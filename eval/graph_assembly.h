// From rows as they are computed to a graph.
//
// Rows come over the *full* active list (all N_f active features), in any order and in any batches.
// A graph holds the M features whose rows were computed; the columns of the others are folded into
// the error of the same layer and position, so that every row keeps its sum and scores do not
// depend on M, or left out (circuit-tracer's way).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "eval/graph.h"

namespace crossloom::eval {

/// Rows known so far. Node numbers (owners and columns) are those of the full layout
/// {N_f, L, S, Q}: active feature i is node i, target q is node full.target(q).
struct AttributionRows {
  std::vector<int64_t> owners;  // [rows]
  SparseRows rows;              // [rows]
  std::vector<RowFacts> facts;  // [rows]

  /// `row` has one value per source of the full layout: [N_f + L·S + S].
  template <typename Real>
  void add(int64_t owner, std::span<const Real> row, const RowFacts& row_facts) {
    rows.add_dense_row(row);
    owners.push_back(owner);
    facts.push_back(row_facts);
  }
};

/// Where each source column of a row goes.
struct ColumnMap {
  NodeLayout from;
  NodeLayout to;
  /// [from.features]: the new feature number, or a node number of `to` that is an error, or −1 for
  /// "left out". Feature numbers ascend; errors and tokens keep their place.
  std::vector<int32_t> feature;
};

/// `rows` with their columns renumbered by `map`; what meets in one error is added (signed).
SparseRows map_columns(const SparseRows& rows, const ColumnMap& map);

struct GraphInput {
  std::string prompt;
  std::vector<int64_t> token_ids;        // [S]
  std::vector<std::string> token_texts;  // [S]
  int64_t layers = 0;                    // L
  std::vector<FeatureNode> active;       // [N_f], ascending
  std::vector<TargetNode> targets;       // [Q]
  AttributionRows rows;                  // all Q targets and M features, in any order

  NodeLayout full_layout() const;
};

/// Sorts the rows into node order, folds or leaves out the columns of features without a row, and
/// measures the largest row residual (before that). Texts are made valid UTF-8.
/// Throws DataError when a value is not finite, InternalError when a row is missing, doubled or
/// not causal.
Graph assemble_graph(GraphInput input, DroppedColumns dropped = DroppedColumns::kFold);

}  // namespace crossloom::eval
