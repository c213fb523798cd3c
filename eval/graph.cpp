#include "eval/graph.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>

namespace crossloom::eval {
namespace {

std::string layout_problem(const NodeLayout& layout) {
  // Node numbers are int32 in rows; bounding the parts first keeps the products below int64.
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  for (const int64_t part : {layout.features, layout.layers, layout.positions, layout.targets}) {
    if (part < 0 || part > kMost) {
      return fmt::format("a number of nodes is {}", part);
    }
  }
  if (layout.count() > kMost) {
    return fmt::format("{} nodes are more than 32-bit node numbers hold", layout.count());
  }
  return {};
}

std::string feature_list_problem(std::span<const FeatureNode> features, int64_t layers,
                                 int64_t positions) {
  for (size_t i = 0; i < features.size(); ++i) {
    const FeatureNode& node = features[i];
    const auto bad = [&](const char* what) {
      return fmt::format("feature {} (layer {}, position {}, index {}) {}", i, node.layer,
                         node.position, node.index, what);
    };
    if (node.layer < 0 || node.layer >= layers || node.position < 0 || node.position >= positions ||
        node.index < 0) {
      return bad("lies outside the model or the prompt");
    }
    if (!std::isfinite(node.activation)) {
      return bad("has an activation that is not a finite number");
    }
    if (i > 0 && features[i - 1].place(node) >= 0) {
      return bad("is not above the one before it in (layer, position, index)");
    }
  }
  return {};
}

/// Where a node sits: layer −1 for tokens, L for targets.
std::pair<int64_t, int64_t> place_of(const GraphMatrix& matrix, int64_t node) {
  const NodeLayout& layout = matrix.layout;
  switch (layout.kind(node)) {
    case NodeKind::kFeature: {
      const auto& feature = matrix.features[size_t(node)];
      return {feature.layer, feature.position};
    }
    case NodeKind::kError:
      return {(node - layout.first_error()) / layout.positions,
              (node - layout.first_error()) % layout.positions};
    case NodeKind::kToken:
      return {-1, node - layout.first_token()};
    default:
      return {layout.layers, layout.positions - 1};
  }
}

std::string row_problem(const GraphMatrix& matrix, int64_t row) {
  const int64_t node = matrix.layout.node_of_row(row);
  const auto [layer, position] = place_of(matrix, node);
  const auto columns = matrix.rows.columns(row);
  const auto values = matrix.rows.values(row);
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i] >= matrix.layout.first_target()) {
      return fmt::format("row {} has a source {} that is no source", row, columns[i]);
    }
    const auto [source_layer, source_position] = place_of(matrix, columns[i]);
    if (source_layer >= layer || source_position > position) {
      return fmt::format("row {} (layer {}, position {}) has a source at layer {}, position {}",
                         row, layer, position, source_layer, source_position);
    }
    if (!std::isfinite(values[i])) {
      return fmt::format("row {} holds a value that is not a finite number", row);
    }
  }
  const RowFacts& facts = matrix.facts[size_t(row)];
  if (!std::isfinite(facts.bias) || !std::isfinite(facts.bias_absolute) ||
      !std::isfinite(facts.pre_activation) || facts.bias_absolute < 0.0) {
    return fmt::format("row {} has a bias or pre-activation that is not a finite number", row);
  }
  return {};
}

std::string targets_problem(const Graph& graph) {
  std::set<int64_t> ids;
  for (size_t i = 0; i < graph.targets.size(); ++i) {
    const TargetNode& target = graph.targets[i];
    if (target.id < 0 || !ids.insert(target.id).second) {
      return fmt::format("target id {} is negative or given twice", target.id);
    }
    if (!std::isfinite(target.probability) || target.weight != graph.matrix.weights[i]) {
      return fmt::format("target {} has probability {}, weight {}, and weight {} in the matrix",
                         target.id, target.probability, target.weight, graph.matrix.weights[i]);
    }
  }
  return {};
}

}  // namespace

std::strong_ordering FeatureNode::place(const FeatureNode& other) const {
  return std::tie(layer, position, index) <=> std::tie(other.layer, other.position, other.index);
}

double row_residual(std::span<const double> values, const RowFacts& facts) {
  double sum = facts.bias;
  double scale = facts.bias_absolute;
  for (const double value : values) {
    sum += value;
    scale += std::abs(value);
  }
  const double gap = std::abs(sum - facts.pre_activation);
  if (gap == 0.0) {
    return 0.0;
  }
  return scale == 0.0 ? std::numeric_limits<double>::infinity() : gap / scale;
}

double max_residual(const SparseRows& rows, std::span<const RowFacts> facts) {
  CROSSLOOM_CHECK(std::cmp_equal(facts.size(), rows.row_count()), "{} facts for {} rows",
                  facts.size(), rows.row_count());
  double worst = 0.0;
  for (int64_t row = 0; row < rows.row_count(); ++row) {
    const double residual = row_residual(rows.values(row), facts[size_t(row)]);
    if (std::isnan(residual)) {
      return residual;
    }
    worst = std::max(worst, residual);
  }
  return worst;
}

std::string matrix_problem(const GraphMatrix& matrix) {
  const NodeLayout& layout = matrix.layout;
  if (const auto problem = layout_problem(layout); !problem.empty()) {
    return problem;
  }
  if (std::cmp_not_equal(matrix.features.size(), layout.features) ||
      std::cmp_not_equal(matrix.weights.size(), layout.targets) ||
      std::cmp_not_equal(matrix.facts.size(), layout.rows()) ||
      matrix.rows.row_count() != layout.rows()) {
    return fmt::format("{} features, {} weights, {} facts and {} rows for M = {}, Q = {}",
                       matrix.features.size(), matrix.weights.size(), matrix.facts.size(),
                       matrix.rows.row_count(), layout.features, layout.targets);
  }
  const auto problem = feature_list_problem(matrix.features, layout.layers, layout.positions);
  if (!problem.empty()) {
    return problem;
  }
  for (const double weight : matrix.weights) {
    if (!std::isfinite(weight) || weight < 0.0) {
      return fmt::format("a target's weight is {}", weight);
    }
  }
  for (int64_t row = 0; row < layout.rows(); ++row) {
    if (auto bad = row_problem(matrix, row); !bad.empty()) {
      return bad;
    }
  }
  return {};
}

std::string graph_problem(const Graph& graph) {
  const NodeLayout& layout = graph.matrix.layout;
  if (auto problem = matrix_problem(graph.matrix); !problem.empty()) {
    return problem;
  }
  if (std::cmp_not_equal(graph.token_ids.size(), layout.positions) ||
      std::cmp_not_equal(graph.token_texts.size(), layout.positions) ||
      std::cmp_not_equal(graph.targets.size(), layout.targets) ||
      std::cmp_not_equal(graph.selected.size(), layout.features)) {
    return fmt::format("{} token ids, {} token texts, {} targets, {} selected for S = {}",
                       graph.token_ids.size(), graph.token_texts.size(), graph.targets.size(),
                       graph.selected.size(), layout.positions);
  }
  auto problem = feature_list_problem(graph.active, layout.layers, layout.positions);
  if (!problem.empty()) {
    return "active list: " + problem;
  }
  for (size_t i = 0; i < graph.selected.size(); ++i) {
    if (graph.selected[i] < 0 || std::cmp_greater_equal(graph.selected[i], graph.active.size()) ||
        graph.active[size_t(graph.selected[i])] != graph.matrix.features[i]) {
      return fmt::format("selected feature {} is not feature {} of the active list", i,
                         graph.selected[i]);
    }
  }
  return targets_problem(graph);
}

}  // namespace crossloom::eval
