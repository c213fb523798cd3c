// Archives: round trip to the bit in float64, to rounding in float32; damaged files are refused.
#include "eval/graph_archive.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>

#include "common/error.h"
#include "common/tensor_file.h"
#include "eval/scores.h"
#include "tests/eval/graph_fixtures.h"

namespace crossloom::eval {
namespace {

class GraphArchives : public ::testing::Test {
 protected:
  GraphArchives()
      : path_((std::filesystem::path(::testing::TempDir()) /
               (std::string("graph_archive_") +
                ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".safetensors"))
                  .string()) {}
  ~GraphArchives() override { std::filesystem::remove(path_); }

  std::string path_;
};

/// Rewrites an archive with some tensors or metadata changed.
struct Parts {
  std::map<std::string, TensorToWrite> tensors;
  std::map<std::string, std::string> metadata;
  std::map<std::string, std::vector<std::byte>> bytes;

  explicit Parts(const std::string& path) {
    const TensorFile file(path);
    metadata = file.metadata();
    for (const auto& [name, entry] : file.tensors()) {
      bytes[name] = {entry.bytes.begin(), entry.bytes.end()};
      tensors[name] = {name, entry.dtype, entry.shape, {}};
    }
  }
  template <typename T>
  void set(const std::string& name, size_t index, T value) {
    std::memcpy(bytes.at(name).data() + index * sizeof(T), &value, sizeof(T));
  }
  void write(const std::string& path) {
    std::vector<TensorToWrite> list;
    for (auto& [name, tensor] : tensors) {
      tensor.bytes = bytes.at(name);
      list.push_back(tensor);
    }
    write_tensor_file(path, list, metadata);
  }
};

TEST_F(GraphArchives, Float64RoundTripIsExact) {
  for (const auto dropped : {DroppedColumns::kFold, DroppedColumns::kDrop}) {
    const Graph graph = assemble_graph(testing::random_input(3, {.selected_share = 0.6}), dropped);
    write_graph_archive(path_, graph,
                        {.real = DType::kF64, .scan = "org/set", .settings = {{"k", 16}}});
    const GraphArchive back = read_graph_archive(path_);
    EXPECT_EQ(back.graph, graph);
    EXPECT_EQ(back.scan, "org/set");
    EXPECT_EQ(back.settings, Json({{"k", 16}}));
  }
}

TEST_F(GraphArchives, Float32RoundTripIsExactAfterTheFirst) {
  const Graph graph = testing::random_graph(4);
  write_graph_archive(path_, graph);
  const Graph once = read_graph_archive(path_).graph;
  EXPECT_NE(once, graph);
  EXPECT_EQ(once.selected, graph.selected);
  EXPECT_EQ(once.matrix.rows.entry_count(), graph.matrix.rows.entry_count());
  EXPECT_NEAR(score_graph(once.matrix).replacement, score_graph(graph.matrix).replacement, 1e-6);
  EXPECT_LT(max_residual(once.matrix.rows, once.matrix.facts), 1e-6);
  write_graph_archive(path_, once);
  EXPECT_EQ(read_graph_archive(path_).graph, once);
}

TEST_F(GraphArchives, HasTheNamesAndShapesOfTheFormat) {
  const Graph graph = testing::golden_graph();
  write_graph_archive(path_, graph, {.real = DType::kF32, .dense = true});
  const TensorFile file(path_);
  const auto shape = [&](const char* name) { return file.at(name).shape; };
  EXPECT_EQ(shape("active_features"), (std::vector<int64_t>{5, 3}));
  EXPECT_EQ(shape("activation_values"), (std::vector<int64_t>{5}));
  EXPECT_EQ(shape("selected_features"), (std::vector<int64_t>{5}));
  EXPECT_EQ(shape("input_tokens"), (std::vector<int64_t>{2}));
  EXPECT_EQ(shape("logit_ids"), (std::vector<int64_t>{1}));
  EXPECT_EQ(shape("row_offsets"), (std::vector<int64_t>{13}));
  EXPECT_EQ(shape("columns"), (std::vector<int64_t>{10}));
  EXPECT_EQ(shape("bias"), (std::vector<int64_t>{12}));
  ASSERT_EQ(shape("adjacency_matrix"), (std::vector<int64_t>{12, 12}));
  EXPECT_EQ(file.at("values").dtype, DType::kF32);
  const auto* matrix = reinterpret_cast<const float*>(file.at("adjacency_matrix").bytes.data());
  const auto oracle = testing::dense(graph.matrix);
  for (size_t t = 0; t < 12; ++t) {
    for (size_t s = 0; s < 12; ++s) {
      EXPECT_EQ(matrix[t * 12 + s], float(oracle[t][s])) << t << " < " << s;
    }
  }
  EXPECT_EQ(read_graph_archive(path_).graph.matrix.rows, graph.matrix.rows);
}

TEST_F(GraphArchives, DamagedFilesAreRefused) {
  Graph graph = testing::golden_graph();
  graph.targets[0].probability = 0.5;  // exact in float32
  const std::pair<const char*, std::function<void(Parts&)>> damages[] = {
      {"other format", [](Parts& p) { p.metadata["format"] = "x"; }},
      {"other version", [](Parts& p) { p.metadata["version"] = "2"; }},
      {"no strings", [](Parts& p) { p.metadata.erase("graph"); }},
      {"strings no object", [](Parts& p) { p.metadata["graph"] = "[]"; }},
      {"no tensor", [](Parts& p) { p.tensors.erase("columns"); }},
      {"wrong type", [](Parts& p) { p.tensors["columns"].dtype = DType::kF32; }},
      {"column out of range", [](Parts& p) { p.set<int32_t>("columns", 0, 99); }},
      {"column negative", [](Parts& p) { p.set<int32_t>("columns", 0, -1); }},
      {"columns not ascending", [](Parts& p) { p.set<int32_t>("columns", 1, 10); }},
      {"acausal column", [](Parts& p) { p.set<int32_t>("columns", 0, 4); }},
      {"offsets do not start at 0", [](Parts& p) { p.set<int64_t>("row_offsets", 0, 1); }},
      {"offsets descend", [](Parts& p) { p.set<int64_t>("row_offsets", 3, -5); }},
      {"offsets beyond", [](Parts& p) { p.set<int64_t>("row_offsets", 5, 1 << 20); }},
      {"selected out of range", [](Parts& p) { p.set<int64_t>("selected_features", 0, 77); }},
      {"selected not ascending", [](Parts& p) { p.set<int64_t>("selected_features", 0, 3); }},
      {"layer out of range", [](Parts& p) { p.set<int64_t>("active_features", 0, 9); }},
      {"layer not 32-bit", [](Parts& p) { p.set<int64_t>("active_features", 0, 1LL << 40); }},
      {"value not a number", [](Parts& p) { p.set<float>("values", 0, NAN); }},
      {"bias not a number", [](Parts& p) { p.set<float>("bias", 0, NAN); }},
      {"negative weight", [](Parts& p) { p.set<float>("logit_weights", 0, -1.0F); }},
      {"negative id", [](Parts& p) { p.set<int64_t>("logit_ids", 0, -4); }}};
  for (const auto& [name, damage] : damages) {
    write_graph_archive(path_, graph);
    Parts parts(path_);
    damage(parts);
    parts.write(path_);
    EXPECT_THROW(read_graph_archive(path_), DataError) << name;
  }
  write_graph_archive(path_, graph);
  Parts(path_).write(path_);  // rewriting alone damages nothing
  EXPECT_EQ(read_graph_archive(path_).graph, graph);
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 3);
  EXPECT_THROW(read_graph_archive(path_), DataError);
}

TEST_F(GraphArchives, AnInfiniteResidualSurvives) {
  Graph graph = testing::golden_graph();
  graph.max_residual = std::numeric_limits<double>::infinity();
  write_graph_archive(path_, graph, {.real = DType::kF64});
  EXPECT_EQ(read_graph_archive(path_).graph, graph);
}

}  // namespace
}  // namespace crossloom::eval
