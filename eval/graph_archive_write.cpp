// Writing a graph archive (graph_archive.h says what is in it).
#include <cstring>

#include "common/error.h"
#include "common/tensor_file.h"
#include "eval/graph_archive.h"

namespace crossloom::eval {
namespace {

/// Tensors of an archive being written; owns the bytes until the file is closed.
class TensorList {
 public:
  explicit TensorList(DType real) : real_(real) {}

  template <typename T>
  void add(const char* name, DType type, std::vector<int64_t> shape, const std::vector<T>& data) {
    std::vector<std::byte> bytes(data.size() * sizeof(T));
    if (!bytes.empty()) {
      std::memcpy(bytes.data(), data.data(), bytes.size());
    }
    storage_.push_back(std::move(bytes));
    tensors_.push_back({name, type, std::move(shape), {}});
  }
  void add_whole(const char* name, std::vector<int64_t> shape, const std::vector<int64_t>& data) {
    add(name, DType::kI64, std::move(shape), data);
  }
  void add_real(const char* name, std::vector<int64_t> shape, const std::vector<double>& data) {
    if (real_ == DType::kF64) {
      add(name, real_, std::move(shape), data);
    } else {
      add(name, real_, std::move(shape), std::vector<float>(data.begin(), data.end()));
    }
  }
  const std::vector<TensorToWrite>& finish() {
    for (size_t i = 0; i < tensors_.size(); ++i) {
      tensors_[i].bytes = storage_[i];
    }
    return tensors_;
  }

 private:
  DType real_;
  std::vector<std::vector<std::byte>> storage_;
  std::vector<TensorToWrite> tensors_;
};

void add_nodes(TensorList& list, const Graph& graph) {
  std::vector<int64_t> places;
  std::vector<double> activations;
  for (const FeatureNode& node : graph.active) {
    places.insert(places.end(), {node.layer, node.position, node.index});
    activations.push_back(node.activation);
  }
  std::vector<int64_t> ids;
  std::vector<double> probabilities;
  for (const TargetNode& target : graph.targets) {
    ids.push_back(target.id);
    probabilities.push_back(target.probability);
  }
  const NodeLayout& layout = graph.matrix.layout;
  const auto active = int64_t(graph.active.size());
  list.add_whole("active_features", {active, 3}, places);
  list.add_real("activation_values", {active}, activations);
  list.add_whole("selected_features", {layout.features}, graph.selected);
  list.add_whole("input_tokens", {layout.positions}, graph.token_ids);
  list.add_whole("logit_ids", {layout.targets}, ids);
  list.add_real("logit_probabilities", {layout.targets}, probabilities);
  list.add_real("logit_weights", {layout.targets}, graph.matrix.weights);
}

void add_matrix(TensorList& list, const GraphMatrix& matrix) {
  const NodeLayout& layout = matrix.layout;
  const int64_t nodes = layout.count();
  std::vector<int64_t> offsets = {0};
  std::vector<int32_t> columns;
  std::vector<double> values;
  std::vector<double> bias(size_t(nodes), 0.0);
  std::vector<double> bias_absolute(size_t(nodes), 0.0);
  std::vector<double> pre_activation(size_t(nodes), 0.0);
  columns.reserve(size_t(matrix.rows.entry_count()));
  values.reserve(size_t(matrix.rows.entry_count()));
  for (int64_t node = 0; node < nodes; ++node) {
    const NodeKind kind = layout.kind(node);
    if (kind == NodeKind::kFeature || kind == NodeKind::kTarget) {
      const int64_t row =
          kind == NodeKind::kFeature ? node : node - layout.first_target() + layout.features;
      const auto row_columns = matrix.rows.columns(row);
      const auto row_values = matrix.rows.values(row);
      columns.insert(columns.end(), row_columns.begin(), row_columns.end());
      values.insert(values.end(), row_values.begin(), row_values.end());
      bias[size_t(node)] = matrix.facts[size_t(row)].bias;
      bias_absolute[size_t(node)] = matrix.facts[size_t(row)].bias_absolute;
      pre_activation[size_t(node)] = matrix.facts[size_t(row)].pre_activation;
    }
    offsets.push_back(int64_t(columns.size()));
  }
  const auto entries = int64_t(columns.size());
  list.add_whole("row_offsets", {nodes + 1}, offsets);
  list.add("columns", DType::kI32, {entries}, columns);
  list.add_real("values", {entries}, values);
  list.add_real("bias", {nodes}, bias);
  list.add_real("bias_absolute", {nodes}, bias_absolute);
  list.add_real("pre_activation", {nodes}, pre_activation);
}

void add_dense(TensorList& list, const GraphMatrix& matrix) {
  const int64_t nodes = matrix.layout.count();
  if (nodes > kMostDenseNodes) {
    throw ConfigError({.what = "The graph is too large for a dense matrix",
                       .expected = fmt::format("at most {} nodes", kMostDenseNodes),
                       .got = fmt::format("{} nodes", nodes),
                       .where = "adjacency_matrix",
                       .hint = "Read the compressed rows, or keep fewer features."});
  }
  std::vector<double> dense(size_t(nodes * nodes), 0.0);
  for (int64_t row = 0; row < matrix.layout.rows(); ++row) {
    const auto columns = matrix.rows.columns(row);
    const auto values = matrix.rows.values(row);
    const int64_t begin = matrix.layout.node_of_row(row) * nodes;
    for (size_t i = 0; i < columns.size(); ++i) {
      dense[size_t(begin + columns[i])] = values[i];
    }
  }
  list.add_real("adjacency_matrix", {nodes, nodes}, dense);
}

}  // namespace

void write_graph_archive(const std::string& path, const Graph& graph,
                         const GraphArchiveOptions& options) {
  CROSSLOOM_CHECK(options.real == DType::kF32 || options.real == DType::kF64,
                  "archives hold F32 or F64, not {}", dtype_info(options.real).name);
  TensorList list(options.real);
  add_nodes(list, graph);
  add_matrix(list, graph.matrix);
  if (options.dense) {
    add_dense(list, graph.matrix);
  }
  Json target_texts = Json::array();
  for (const TargetNode& target : graph.targets) {
    target_texts.push_back(target.text);
  }
  const Json texts = {{"input_string", graph.prompt},
                      {"token_texts", graph.token_texts},
                      {"target_texts", target_texts},
                      {"layers", graph.matrix.layout.layers},
                      {"dropped_columns_folded", graph.dropped == DroppedColumns::kFold},
                      {"max_residual", graph.max_residual},
                      {"scan", options.scan},
                      {"settings", options.settings}};
  write_tensor_file(path, list.finish(),
                    {{"format", kGraphArchiveFormat},
                     {"version", kGraphArchiveVersion},
                     {"graph", texts.dump(-1, ' ', false, Json::error_handler_t::replace)}});
}

}  // namespace crossloom::eval
