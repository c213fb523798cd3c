#include "tests/eval/large_graph.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "eval/graph_json.h"
#include "tests/eval/graph_fixtures.h"

namespace crossloom::eval::testing {
namespace {

double peak_bytes() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return double(usage.ru_maxrss) * 1024.0;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void add_nodes(const LargeShape& shape, Graph& graph) {
  GraphMatrix& matrix = graph.matrix;
  graph.prompt = "large";
  for (int64_t position = 0; position < shape.positions; ++position) {
    graph.token_ids.push_back(position);
    graph.token_texts.emplace_back("t");
  }
  matrix.layout = {.features = shape.layers * shape.features_per_layer,
                   .layers = shape.layers,
                   .positions = shape.positions,
                   .targets = 10};
  for (int64_t i = 0; i < matrix.layout.features; ++i) {
    const int64_t in_layer = i % shape.features_per_layer;
    graph.active.push_back(
        {.layer = int32_t(i / shape.features_per_layer),
         .position = int32_t(in_layer * shape.positions / shape.features_per_layer),
         .index = int32_t(in_layer),
         .activation = 1.0});
    graph.selected.push_back(i);
  }
  matrix.features = graph.active;
  for (int64_t target = 0; target < matrix.layout.targets; ++target) {
    graph.targets.push_back({.id = target, .text = "x", .probability = 0.09, .weight = 0.09});
    matrix.weights.push_back(0.09);
  }
  matrix.facts.resize(size_t(matrix.layout.rows()));
}

}  // namespace

Graph large_graph(const LargeShape& shape) {
  Draws draw(11);
  Graph graph;
  add_nodes(shape, graph);
  GraphMatrix& matrix = graph.matrix;
  for (int64_t row = 0; row < matrix.layout.rows(); ++row) {
    const bool target = row >= matrix.layout.features;
    const int64_t layer = target ? shape.layers : graph.active[size_t(row)].layer;
    const int64_t position = target ? shape.positions - 1 : graph.active[size_t(row)].position;
    const int64_t below = layer * shape.features_per_layer;
    const double step = double(std::max<int64_t>(below, 1)) / double(shape.features_per_row);
    for (double at = draw.uniform() * step; at < double(below);
         at += std::max(1.0, 2.0 * step * draw.uniform())) {
      if (graph.active[size_t(at)].position <= position) {
        matrix.rows.push(int32_t(at), draw.between(-1.0, 1.0));
      }
    }
    const int64_t first = std::max<int64_t>(0, position - shape.error_positions + 1);
    for (int64_t l = 0; l < layer; ++l) {
      for (int64_t p = first; p <= position; ++p) {
        matrix.rows.push(int32_t(matrix.layout.error(l, p)), draw.between(-0.3, 0.3));
      }
    }
    for (int64_t p = 0; p <= position; ++p) {
      matrix.rows.push(int32_t(matrix.layout.token(p)), draw.between(-1.0, 1.0));
    }
    matrix.rows.end_row();
  }
  return graph;
}

double measure_large_graph(const LargeShape& shape) {
  const double before_bytes = peak_bytes();
  auto start = std::chrono::steady_clock::now();
  const Graph graph = large_graph(shape);
  EXPECT_EQ(graph_problem(graph), "");
  const double build_s = seconds_since(start);
  start = std::chrono::steady_clock::now();
  const PrunedGraph pruned = prune(graph.matrix);
  const double prune_s = seconds_since(start);
  start = std::chrono::steady_clock::now();
  const GraphScores scores = score_graph(graph.matrix);
  const double score_s = seconds_since(start);
  const double used_bytes = peak_bytes() - before_bytes;
  const auto folder =
      (std::filesystem::path(::testing::TempDir()) / fmt::format("large_graph_{}", shape.positions))
          .string();
  start = std::chrono::steady_clock::now();
  const auto path = write_graph_json(folder, graph, pruned, scores, {.slug = "l", .scan = "s"});
  const double write_s = seconds_since(start);
  std::printf("%s\n",
              fmt::format("{} nodes, {} edges: build {:.1f} s, prune {:.2f} s, score {:.2f} s, {} "
                          "edges to {} of JSON {:.2f} s; peak memory + {}",
                          graph.matrix.layout.count(), graph.matrix.rows.entry_count(), build_s,
                          prune_s, score_s, pruned.edges.size(),
                          human_bytes(double(std::filesystem::file_size(path))), write_s,
                          human_bytes(used_bytes))
                  .c_str());
  std::filesystem::remove_all(folder);
  EXPECT_FALSE(pruned.edges.empty());
  EXPECT_GT(scores.replacement, 0.0);
  return used_bytes;
}

}  // namespace crossloom::eval::testing
