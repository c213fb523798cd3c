// Reading a graph archive: a file from elsewhere, so nothing in it is believed before it is
// checked.
#include <cstring>
#include <limits>

#include "common/error.h"
#include "common/tensor_file.h"
#include "eval/graph_archive.h"

namespace crossloom::eval {
namespace {

[[noreturn]] void fail(const std::string& source, const std::string& what,
                       const std::string& expected, const std::string& got) {
  throw DataError({.what = what,
                   .expected = expected,
                   .got = got,
                   .where = source,
                   .hint = "Is this a graph written by this program? Compute it again."});
}

/// Typed, shape-checked access to an archive's tensors.
class ArchiveReader {
 public:
  explicit ArchiveReader(const TensorFile& file) : file_(file) {}

  /// `columns` 0: a vector, else a [n, columns] matrix. `count` < 0: any n.
  template <typename T>
  std::vector<T> read(const char* name, DType type, int64_t count, int64_t columns = 0) const {
    const TensorEntry& entry = file_.at(name);
    const std::vector<int64_t>& shape = entry.shape;
    const bool shaped = columns == 0 ? shape.size() == 1 : shape.size() == 2 && shape[1] == columns;
    if (entry.dtype != type || !shaped || (count >= 0 && shape[0] != count)) {
      fail(fmt::format("{}, tensor '{}'", file_.source(), name),
           "A tensor of the graph has another type or shape",
           fmt::format("{} with {} rows", dtype_info(type).name,
                       count < 0 ? std::string("any number of") : std::to_string(count)),
           fmt::format("{} [{}]", dtype_info(entry.dtype).name, fmt::join(shape, ", ")));
    }
    std::vector<T> values(size_t(entry.element_count()));
    if (!values.empty()) {
      std::memcpy(values.data(), entry.bytes.data(), entry.bytes.size());
    }
    return values;
  }
  std::vector<int64_t> whole(const char* name, int64_t count, int64_t columns = 0) const {
    return read<int64_t>(name, DType::kI64, count, columns);
  }
  std::vector<double> real(const char* name, int64_t count) const {
    if (file_.at(name).dtype == DType::kF64) {
      return read<double>(name, DType::kF64, count);
    }
    const auto values = read<float>(name, DType::kF32, count);
    return {values.begin(), values.end()};
  }

 private:
  const TensorFile& file_;
};

std::vector<std::string> strings(const Json& object, const char* key, const std::string& source) {
  if (!object.contains(key) || !object[key].is_array()) {
    fail_json_field(key, "a list of strings", "something else", source);
  }
  std::vector<std::string> result;
  for (const Json& item : object[key]) {
    if (!item.is_string()) {
      fail_json_field(key, "a list of strings", item.type_name(), source);
    }
    result.push_back(item.get<std::string>());
  }
  return result;
}

int32_t node_part(int64_t value, const std::string& source) {
  if (!std::in_range<int32_t>(value) || value < 0) {
    fail(source, "A feature's layer, position or index is out of range", "0 … 2^31 − 1",
         std::to_string(value));
  }
  return int32_t(value);
}

void read_nodes(const ArchiveReader& reader, const std::vector<std::string>& target_texts,
                const std::string& source, Graph& graph) {
  const auto places = reader.whole("active_features", -1, 3);
  const auto active = int64_t(places.size() / 3);
  const auto activations = reader.real("activation_values", active);
  for (size_t i = 0; i < activations.size(); ++i) {
    graph.active.push_back({.layer = node_part(places[3 * i], source),
                            .position = node_part(places[3 * i + 1], source),
                            .index = node_part(places[3 * i + 2], source),
                            .activation = activations[i]});
  }
  graph.selected = reader.whole("selected_features", -1);
  for (const int64_t index : graph.selected) {
    if (index < 0 || index >= active) {
      fail(source, "A selected feature is not in the active list",
           fmt::format("0 … {}", active - 1), std::to_string(index));
    }
    graph.matrix.features.push_back(graph.active[size_t(index)]);
  }
  graph.token_ids = reader.whole("input_tokens", -1);
  const auto count = int64_t(target_texts.size());
  const auto ids = reader.whole("logit_ids", count);
  const auto probabilities = reader.real("logit_probabilities", count);
  graph.matrix.weights = reader.real("logit_weights", count);
  for (size_t i = 0; i < ids.size(); ++i) {
    graph.targets.push_back({.id = ids[i],
                             .text = target_texts[i],
                             .probability = probabilities[i],
                             .weight = graph.matrix.weights[i]});
  }
}

void read_matrix(const ArchiveReader& reader, const std::string& source, GraphMatrix& matrix) {
  const NodeLayout& layout = matrix.layout;
  const int64_t nodes = layout.count();
  const auto offsets = reader.whole("row_offsets", nodes + 1);
  const auto columns = reader.read<int32_t>("columns", DType::kI32, -1);
  const auto values = reader.real("values", int64_t(columns.size()));
  const auto bias = reader.real("bias", nodes);
  const auto bias_absolute = reader.real("bias_absolute", nodes);
  const auto pre_activation = reader.real("pre_activation", nodes);
  if (offsets.front() != 0 || std::cmp_not_equal(offsets.back(), columns.size())) {
    fail(source, "The rows do not cover the entries", fmt::format("0 … {}", columns.size()),
         fmt::format("{} … {}", offsets.front(), offsets.back()));
  }
  matrix.rows.reserve(int64_t(columns.size()));
  for (int64_t node = 0; node < nodes; ++node) {
    const int64_t begin = offsets[size_t(node)];
    const int64_t end = offsets[size_t(node) + 1];
    const NodeKind kind = layout.kind(node);
    const bool has_row = kind == NodeKind::kFeature || kind == NodeKind::kTarget;
    if (end < begin || std::cmp_greater(end, columns.size()) || (!has_row && end != begin)) {
      fail(source, "A row of the graph has impossible bounds", "ascending; none for a source",
           fmt::format("node {}: {} … {}", node, begin, end));
    }
    for (int64_t i = begin; i < end; ++i) {
      const int32_t column = columns[size_t(i)];
      if (column < 0 || column >= nodes || (i > begin && columns[size_t(i) - 1] >= column)) {
        fail(source, "Columns of a row do not ascend", fmt::format("0 … {}", nodes - 1),
             fmt::format("node {}: column {}", node, column));
      }
      matrix.rows.push(column, values[size_t(i)]);
    }
    if (has_row) {
      matrix.rows.end_row();
      matrix.facts.push_back({.bias = bias[size_t(node)],
                              .bias_absolute = bias_absolute[size_t(node)],
                              .pre_activation = pre_activation[size_t(node)]});
    }
  }
}

}  // namespace

GraphArchive read_graph_archive(const std::string& path) {
  const TensorFile file(path);
  const auto text_of = [&](const char* key) {
    const auto found = file.metadata().find(key);
    return found == file.metadata().end() ? std::string{} : found->second;
  };
  if (text_of("format") != kGraphArchiveFormat || text_of("version") != kGraphArchiveVersion) {
    fail(path, "The file is not a graph archive of this version",
         fmt::format("{} version {}", kGraphArchiveFormat, kGraphArchiveVersion),
         fmt::format("'{}' version '{}'", text_of("format"), text_of("version")));
  }
  const std::string where = path + ", metadata 'graph'";
  const Json texts = parse_json(text_of("graph"), where);
  const ArchiveReader reader(file);
  GraphArchive archive;
  archive.scan = json_field<std::string>(texts, "scan", where);
  archive.settings = texts.value("settings", Json::object());
  Graph& graph = archive.graph;
  graph.prompt = json_field<std::string>(texts, "input_string", where);
  graph.token_texts = strings(texts, "token_texts", where);
  graph.dropped = json_field<bool>(texts, "dropped_columns_folded", where) ? DroppedColumns::kFold
                                                                           : DroppedColumns::kDrop;
  // JSON has no infinity: the residual of a row without any source or bias is written as null.
  graph.max_residual =
      json_field_or<double>(texts, "max_residual", std::numeric_limits<double>::infinity(), where);
  read_nodes(reader, strings(texts, "target_texts", where), path, graph);
  const auto layers = json_field<int64_t>(texts, "layers", where);
  if (layers < 0 || layers > 1 << 20) {
    fail_json_field("layers", "0 … 1048576", std::to_string(layers), where);
  }
  graph.matrix.layout = {.features = int64_t(graph.selected.size()),
                         .layers = layers,
                         .positions = int64_t(graph.token_ids.size()),
                         .targets = int64_t(graph.targets.size())};
  read_matrix(reader, path, graph.matrix);
  const std::string problem = graph_problem(graph);
  if (!problem.empty()) {
    fail(path, "The archive does not hold a valid graph", "a causal graph of finite numbers",
         problem);
  }
  return archive;
}

}  // namespace crossloom::eval
