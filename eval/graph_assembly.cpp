#include "eval/graph_assembly.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/shapes.h"
#include "common/utf8.h"

namespace crossloom::eval {
namespace {

void require_finite(const AttributionRows& rows) {
  CROSSLOOM_CHECK(std::cmp_equal(rows.owners.size(), rows.rows.row_count()) &&
                      rows.owners.size() == rows.facts.size(),
                  "{} owners, {} rows, {} facts", rows.owners.size(), rows.rows.row_count(),
                  rows.facts.size());
  for (int64_t row = 0; row < rows.rows.row_count(); ++row) {
    const auto values = rows.rows.values(row);
    const RowFacts& facts = rows.facts[size_t(row)];
    const bool finite =
        std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); }) &&
        std::isfinite(facts.bias) && std::isfinite(facts.pre_activation);
    if (!finite) {
      throw DataError({.what = "A row of the attribution graph is not finite",
                       .expected = "finite effects, bias and pre-activation",
                       .got = "infinity or not-a-number",
                       .where = fmt::format("row of node {}", rows.owners[size_t(row)]),
                       .hint = "Check the transcoder's and the model's weights for such values; "
                               "compute graphs in float32 or float64."});
    }
  }
}

/// Row numbers in ascending order of their owners; every owner once, all targets among them.
std::vector<size_t> rows_by_owner(const AttributionRows& rows, const NodeLayout& full) {
  std::vector<size_t> order(rows.owners.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return rows.owners[a] < rows.owners[b]; });
  int64_t target_count = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    const int64_t owner = rows.owners[order[i]];
    CROSSLOOM_CHECK(owner >= 0 && owner < full.count(), "row of node {} of {}", owner,
                    full.count());
    CROSSLOOM_CHECK(i == 0 || rows.owners[order[i - 1]] != owner, "node {} has two rows", owner);
    const NodeKind kind = full.kind(owner);
    CROSSLOOM_CHECK(kind == NodeKind::kFeature || kind == NodeKind::kTarget,
                    "node {} is neither a feature nor a target", owner);
    target_count += kind == NodeKind::kTarget ? 1 : 0;
  }
  CROSSLOOM_CHECK(target_count == full.targets, "{} of {} targets have a row", target_count,
                  full.targets);
  return order;
}

ColumnMap selection_map(const NodeLayout& full, std::span<const int64_t> selected,
                        std::span<const FeatureNode> active, DroppedColumns dropped) {
  ColumnMap map{.from = full, .to = full, .feature = {}};
  map.to.features = int64_t(selected.size());
  map.feature.resize(active.size());
  size_t next = 0;
  for (size_t i = 0; i < active.size(); ++i) {
    if (next < selected.size() && std::cmp_equal(selected[next], i)) {
      map.feature[i] = int32_t(next++);
    } else {
      map.feature[i] = dropped == DroppedColumns::kFold
                           ? int32_t(map.to.error(active[i].layer, active[i].position))
                           : -1;
    }
  }
  return map;
}

/// Features of a row go out at once, errors are collected in `errors` [L·S] and follow, then
/// tokens: the order of columns stays ascending without sorting.
void map_row(const SparseRows& rows, int64_t row, const ColumnMap& map, std::vector<double>& errors,
             SparseRows& out) {
  const auto columns = rows.columns(row);
  const auto values = rows.values(row);
  size_t i = 0;
  for (; i < columns.size() && columns[i] < map.from.first_error(); ++i) {
    const int32_t to = map.feature[size_t(columns[i])];
    if (to >= map.to.first_error()) {
      errors[size_t(to - map.to.first_error())] += values[i];
    } else if (to >= 0) {
      out.push(to, values[i]);
    }
  }
  for (; i < columns.size() && columns[i] < map.from.first_token(); ++i) {
    errors[size_t(columns[i] - map.from.first_error())] += values[i];
  }
  for (size_t error = 0; error < errors.size(); ++error) {
    out.push(int32_t(map.to.first_error() + int64_t(error)), errors[error]);
    errors[error] = 0.0;
  }
  for (; i < columns.size(); ++i) {
    out.push(int32_t(columns[i] - map.from.first_token() + map.to.first_token()), values[i]);
  }
  out.end_row();
}

/// Rows in node order with their columns renumbered; frees the raw rows on the way.
void assemble_matrix(GraphInput& input, Graph& graph) {
  const NodeLayout full = input.full_layout();
  const std::vector<size_t> order = rows_by_owner(input.rows, full);
  GraphMatrix& matrix = graph.matrix;
  SparseRows sorted;
  sorted.reserve(input.rows.rows.entry_count());
  for (const size_t row : order) {
    sorted.add_row(input.rows.rows.columns(int64_t(row)), input.rows.rows.values(int64_t(row)));
    matrix.facts.push_back(input.rows.facts[row]);
    if (const int64_t owner = input.rows.owners[row]; owner < full.features) {
      graph.selected.push_back(owner);
      matrix.features.push_back(input.active[size_t(owner)]);
    }
  }
  input.rows = {};
  const ColumnMap map = selection_map(full, graph.selected, input.active, graph.dropped);
  matrix.layout = map.to;
  matrix.rows = map_columns(sorted, map);
}

/// Moves the prompt, the active list and the targets.
void take_texts(GraphInput& input, Graph& graph) {
  for (auto& target : input.targets) {
    target.text = repair_utf8(target.text);
    graph.matrix.weights.push_back(target.weight);
  }
  for (auto& text : input.token_texts) {
    text = repair_utf8(text);
  }
  graph.prompt = repair_utf8(input.prompt);
  graph.token_ids = std::move(input.token_ids);
  graph.token_texts = std::move(input.token_texts);
  graph.active = std::move(input.active);
  graph.targets = std::move(input.targets);
}

}  // namespace

NodeLayout GraphInput::full_layout() const {
  return {.features = int64_t(active.size()),
          .layers = layers,
          .positions = int64_t(token_ids.size()),
          .targets = int64_t(targets.size())};
}

SparseRows map_columns(const SparseRows& rows, const ColumnMap& map) {
  CROSSLOOM_CHECK(map.from.layers == map.to.layers && map.from.positions == map.to.positions,
                  "a column map between graphs of different size");
  CROSSLOOM_CHECK(std::cmp_equal(map.feature.size(), map.from.features),
                  "{} features mapped, {} in the rows", map.feature.size(), map.from.features);
  SparseRows out;
  out.reserve(rows.entry_count());
  std::vector<double> errors(size_t(map.from.layers * map.from.positions));
  for (int64_t row = 0; row < rows.row_count(); ++row) {
    map_row(rows, row, map, errors, out);
  }
  return out;
}

Graph assemble_graph(GraphInput input, DroppedColumns dropped) {
  require_finite(input.rows);
  Graph graph;
  graph.max_residual = max_residual(input.rows.rows, input.rows.facts);
  graph.dropped = dropped;
  assemble_matrix(input, graph);
  take_texts(input, graph);
  const std::string problem = graph_problem(graph);
  CROSSLOOM_CHECK(problem.empty(), "the assembled graph is not one: {}", problem);
  return graph;
}

}  // namespace crossloom::eval
