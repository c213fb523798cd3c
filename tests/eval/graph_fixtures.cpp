#include "tests/eval/graph_fixtures.h"

#include <algorithm>
#include <cmath>

namespace crossloom::eval::testing {

Json golden_file(const std::string& name) {
  return read_json_file(std::string(CROSSLOOM_TEST_FOLDER) + "/golden/graph/" + name, 1 << 20);
}

double fraction(const std::string& text) {
  const size_t slash = text.find('/');
  const double top = std::stod(text.substr(0, slash));
  return slash == std::string::npos ? top : top / std::stod(text.substr(slash + 1));
}

Graph golden_graph(const std::vector<std::string>& deleted) {
  const Json file = golden_file("twelve_nodes.json");
  GraphInput input{.prompt = "<bos> a",
                   .token_ids = {2, 5},
                   .token_texts = {"<bos>", " a"},
                   .layers = file["layers"].get<int64_t>(),
                   .active = {},
                   .targets = {{.id = 9, .text = " b", .probability = 0.62, .weight = 1.0}},
                   .rows = {}};
  int32_t index = 10;
  for (const auto& cell : file["feature_cells"]) {
    input.active.push_back({.layer = cell[0].get<int32_t>(),
                            .position = cell[1].get<int32_t>(),
                            .index = index++,
                            .activation = 2.5});
  }
  const NodeLayout layout = input.full_layout();
  const auto weight = file["edge_weight"].get<double>();
  for (int64_t row = 0; row < layout.rows(); ++row) {
    const int64_t node = layout.node_of_row(row);
    std::vector<double> values(size_t(layout.first_target()), 0.0);
    double sum = 0.0;
    for (const auto& source : file["sources"].value(std::to_string(node), Json::array())) {
      const std::string name = fmt::format("{}<{}", node, source.get<int64_t>());
      if (std::find(deleted.begin(), deleted.end(), name) == deleted.end()) {
        values[source.get<size_t>()] = weight;
        sum += weight;
      }
    }
    input.rows.add<double>(node, values, {.bias = 0, .bias_absolute = 0, .pre_activation = sum});
  }
  return assemble_graph(std::move(input));
}

/// Sources of a row at (layer, position): [N_f + L·S + S], the token at `position` always among
/// them.
static std::vector<double> random_row(const GraphInput& input, int64_t layer, int64_t position,
                                      double density, Draws& draw) {
  const NodeLayout full = input.full_layout();
  std::vector<double> values(size_t(full.first_target()), 0.0);
  for (int64_t source = 0; source < full.first_error(); ++source) {
    const auto& at = input.active[size_t(source)];
    if (at.layer < layer && at.position <= position && draw.uniform() < density) {
      values[size_t(source)] = draw.between(-2.0, 2.0);
    }
  }
  for (int64_t l = 0; l < layer; ++l) {
    for (int64_t p = 0; p <= position; ++p) {
      if (draw.uniform() < density) {
        values[size_t(full.error(l, p))] = draw.between(-1.0, 1.0);
      }
    }
  }
  for (int64_t p = 0; p <= position; ++p) {
    if (p == position || draw.uniform() < density) {
      values[size_t(full.token(p))] = draw.between(0.1, 2.0);
    }
  }
  return values;
}

/// Prompt, active features and targets.
static GraphInput random_nodes(const RandomShape& shape, Draws& draw) {
  GraphInput input;
  input.prompt = "random";
  input.layers = shape.layers;
  for (int64_t position = 0; position < shape.positions; ++position) {
    input.token_ids.push_back(100 + position);
    input.token_texts.push_back(fmt::format(" t{}", position));
  }
  for (int32_t layer = 0; layer < shape.layers; ++layer) {
    for (int32_t position = 0; position < shape.positions; ++position) {
      const int64_t here = draw.below(shape.per_cell + 1);
      for (int32_t i = 0; i < here; ++i) {
        input.active.push_back(
            {layer, position, 7 * i + int32_t(draw.below(7)), draw.between(0.1, 3.0)});
      }
    }
  }
  for (int64_t target = 0; target < shape.targets; ++target) {
    const double weight = draw.between(0.05, 0.5);
    input.targets.push_back(
        {.id = 40 - target, .text = "x", .probability = weight, .weight = weight});
  }
  return input;
}

GraphInput random_input(uint64_t seed, const RandomShape& shape) {
  Draws draw(seed);
  GraphInput input = random_nodes(shape, draw);
  const NodeLayout full = input.full_layout();
  for (int64_t row = 0; row < full.rows(); ++row) {
    const int64_t owner = full.node_of_row(row);
    const bool is_target = row >= full.features;
    if (!is_target && draw.uniform() >= shape.selected_share) {
      continue;
    }
    const int64_t layer = is_target ? shape.layers : input.active[size_t(owner)].layer;
    const int64_t position = is_target ? shape.positions - 1 : input.active[size_t(owner)].position;
    const std::vector<double> values = random_row(input, layer, position, shape.density, draw);
    RowFacts facts{.bias = draw.between(-1.0, 1.0), .bias_absolute = 1.5, .pre_activation = 0.0};
    facts.pre_activation = facts.bias;
    for (const double value : values) {
      facts.pre_activation += value;
    }
    input.rows.add<double>(owner, values, facts);
  }
  return input;
}

Graph random_graph(uint64_t seed, const RandomShape& shape) {
  return assemble_graph(random_input(seed, shape));
}

Dense dense(const GraphMatrix& matrix) {
  const auto n = size_t(matrix.layout.count());
  Dense result(n, std::vector<double>(n, 0.0));
  for (int64_t row = 0; row < matrix.layout.rows(); ++row) {
    const auto columns = matrix.rows.columns(row);
    const auto values = matrix.rows.values(row);
    for (size_t i = 0; i < columns.size(); ++i) {
      result[size_t(matrix.layout.node_of_row(row))][size_t(columns[i])] = values[i];
    }
  }
  return result;
}

std::vector<double> dense_weights(const GraphMatrix& matrix) {
  std::vector<double> weights(size_t(matrix.layout.count()), 0.0);
  std::copy(matrix.weights.begin(), matrix.weights.end(),
            weights.end() - ptrdiff_t(matrix.weights.size()));
  return weights;
}

Dense dense_normalised(const Dense& matrix, double floor) {
  Dense result = matrix;
  for (auto& row : result) {
    double sum = 0.0;
    for (double& value : row) {
      value = std::abs(value);
      sum += value;
    }
    for (double& value : row) {
      value /= std::max(sum, floor);
    }
  }
  return result;
}

std::vector<std::vector<double>> dense_powers(const Dense& normalised,
                                              std::vector<double> weights) {
  std::vector<std::vector<double>> powers;
  const size_t n = weights.size();
  while (true) {
    std::vector<double> next(n, 0.0);
    for (size_t t = 0; t < n; ++t) {
      for (size_t s = 0; s < n; ++s) {
        next[s] += weights[t] * normalised[t][s];
      }
    }
    if (std::all_of(next.begin(), next.end(), [](double v) { return v == 0.0; })) {
      return powers;
    }
    powers.push_back(next);
    weights = next;
  }
}

std::vector<double> dense_influence(const Dense& normalised, const std::vector<double>& weights) {
  std::vector<double> sum(weights.size(), 0.0);
  for (const auto& power : dense_powers(normalised, weights)) {
    for (size_t i = 0; i < sum.size(); ++i) {
      sum[i] += power[i];
    }
  }
  return sum;
}

double sorted_cutoff(std::vector<double> scores, double threshold) {
  std::sort(scores.begin(), scores.end(), std::greater<>());
  double total = 0.0;
  for (const double score : scores) {
    total += score;
  }
  double sum = 0.0;
  for (const double score : scores) {
    sum += score;
    if (sum / total >= threshold) {
      return score;
    }
  }
  return scores.back();
}

static void dense_clean_up(const NodeLayout& layout, DensePruned& result) {
  const size_t n = result.keep.size();
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < size_t(layout.first_token()); ++i) {
      bool in = false;
      bool out = false;
      for (size_t j = 0; j < n; ++j) {
        in = in || result.edges[i][j];
        out = out || result.edges[j][i];
      }
      if (result.keep[i] && (!out || (std::cmp_less(i, layout.first_error()) && !in))) {
        result.keep[i] = false;
        changed = true;
      }
    }
    for (size_t t = 0; t < n; ++t) {
      for (size_t s = 0; s < n; ++s) {
        result.edges[t][s] = result.edges[t][s] && result.keep[t] && result.keep[s];
      }
    }
  }
}

DensePruned dense_prune(const GraphMatrix& matrix, double node_threshold, double edge_threshold) {
  const NodeLayout& layout = matrix.layout;
  const auto n = size_t(layout.count());
  const auto weights = dense_weights(matrix);
  Dense a = dense(matrix);
  const auto nodes = dense_influence(dense_normalised(a, kRowFloor), weights);
  const double node_cutoff = sorted_cutoff(nodes, node_threshold);
  DensePruned result{std::vector<bool>(n), {}};
  for (size_t i = 0; i < n; ++i) {
    result.keep[i] = std::cmp_greater_equal(i, layout.first_token()) || nodes[i] >= node_cutoff;
  }
  for (size_t t = 0; t < n; ++t) {
    for (size_t s = 0; s < n; ++s) {
      a[t][s] = result.keep[t] && result.keep[s] ? a[t][s] : 0.0;
    }
  }
  const Dense normalised = dense_normalised(a, kRowFloor);
  const auto kept = dense_influence(normalised, weights);
  std::vector<double> scores;
  for (size_t t = 0; t < n; ++t) {
    for (size_t s = 0; s < n; ++s) {
      scores.push_back(normalised[t][s] * (kept[t] + weights[t]));
    }
  }
  const double edge_cutoff = sorted_cutoff(scores, edge_threshold);
  result.edges.assign(n, std::vector<bool>(n));
  for (size_t t = 0; t < n; ++t) {
    for (size_t s = 0; s < n; ++s) {
      result.edges[t][s] = scores[t * n + s] > 0.0 && scores[t * n + s] >= edge_cutoff;
    }
  }
  dense_clean_up(layout, result);
  return result;
}

}  // namespace crossloom::eval::testing
