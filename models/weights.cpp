// See weights.h. Tensors are converted one by one out of the mapped file, so that the peak is the
// converted weights plus one tensor.
#include "models/weights.h"

#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include "common/json_file.h"
#include "common/tensor_file.h"

namespace crossloom::models {
namespace {

constexpr size_t kIndexLimit_bytes = size_t{64} << 20;

/// Which file holds which tensor; opens each file once.
class WeightFiles {
 public:
  explicit WeightFiles(const std::string& folder) {
    const std::filesystem::path root(folder);
    const auto single = root / "model.safetensors";
    const auto index = root / "model.safetensors.index.json";
    if (std::filesystem::exists(single)) {
      add(single.string());
    } else if (std::filesystem::exists(index)) {
      add_index(root, index.string());
    } else {
      throw DataError({.what = "A model folder has no weights",
                       .expected = "model.safetensors or model.safetensors.index.json",
                       .got = "neither",
                       .where = folder,
                       .hint = "Give a Hugging Face folder with config.json, *.safetensors and "
                               "tokenizer.json."});
    }
  }

  bool contains(const std::string& name) const { return place_.contains(name); }

  /// The tensor converted to `type`; throws unless its shape is `shape`.
  at::Tensor get(const std::string& name, at::IntArrayRef shape, at::ScalarType type) const {
    const auto found = place_.find(name);
    const TensorFile& file = found == place_.end() ? *files_.front() : *found->second;
    const TensorEntry& entry = file.at(name);  // throws with the nearest name
    if (shape != at::IntArrayRef(entry.shape)) {
      throw DataError({.what = fmt::format("Tensor '{}' has the wrong shape", name),
                       .expected = fmt::format("[{}] by config.json", fmt::join(shape, ", ")),
                       .got = fmt::format("[{}]", fmt::join(entry.shape, ", ")),
                       .where = file.source(),
                       .hint = "Do config.json and the weights belong together?"});
    }
    const auto view = at::from_blob(const_cast<std::byte*>(entry.bytes.data()), shape,
                                    at::TensorOptions(scalar_type(entry.dtype)));
    return view.to(type, /*non_blocking=*/false, /*copy=*/true);
  }

 private:
  void add(const std::string& path) {
    files_.push_back(std::make_shared<TensorFile>(path));
    for (const auto& [name, entry] : files_.back()->tensors()) {
      place_[name] = files_.back();
    }
  }

  void add_index(const std::filesystem::path& root, const std::string& index) {
    const Json map =
        json_field<Json>(read_json_file(index, kIndexLimit_bytes), "weight_map", index);
    std::set<std::string> names;
    for (const auto& [tensor, file] : map.items()) {
      names.insert(json_field<std::string>(map, tensor.c_str(), index));
    }
    for (const auto& name : names) {
      if (std::filesystem::path(name).has_parent_path()) {
        throw DataError({.what = "A weight index points outside its folder",
                         .expected = "a file name",
                         .got = name,
                         .where = index,
                         .hint = "Do not use this model folder."});
      }
      add((root / name).string());
    }
    if (files_.empty()) {
      fail_json_field("weight_map", "at least one file", "none", index);
    }
  }

  std::vector<std::shared_ptr<TensorFile>> files_;
  std::map<std::string, std::shared_ptr<TensorFile>> place_;
};

/// Reads one layer: names are the Llama family's.
class LayerReader {
 public:
  LayerReader(const WeightFiles& files, int64_t layer, at::ScalarType type)
      : files_(files), prefix_(fmt::format("model.layers.{}.", layer)), type_(type) {}

  at::Tensor gain(const char* name, int64_t width) const { return get(name, {width}); }
  at::Tensor matrix(const char* name, int64_t rows, int64_t columns) const {
    return get(fmt::format("{}.weight", name), {rows, columns});
  }
  at::Tensor bias(bool present, const char* name, int64_t rows) const {
    return present ? get(fmt::format("{}.bias", name), {rows}) : at::Tensor{};
  }

 private:
  at::Tensor get(const std::string& name, at::IntArrayRef shape) const {
    return files_.get(prefix_ + name, shape, type_);
  }
  const WeightFiles& files_;
  std::string prefix_;
  at::ScalarType type_;
};

at::Tensor stacked(std::initializer_list<at::Tensor> parts) {
  return (*parts.begin()).defined() ? at::cat(std::vector<at::Tensor>(parts), 0) : at::Tensor{};
}

LayerWeights load_layer(const LayerReader& read, const ModelSpec& spec) {
  const int64_t d = spec.width;
  const int64_t q_rows = spec.heads * spec.head_width;
  const int64_t kv_rows = spec.kv_heads * spec.head_width;
  LayerWeights w;
  w.attention_gain = read.gain("input_layernorm.weight", d);
  w.qkv = stacked({read.matrix("self_attn.q_proj", q_rows, d),
                   read.matrix("self_attn.k_proj", kv_rows, d),
                   read.matrix("self_attn.v_proj", kv_rows, d)});
  w.qkv_bias = stacked({read.bias(spec.attention_bias, "self_attn.q_proj", q_rows),
                        read.bias(spec.attention_bias, "self_attn.k_proj", kv_rows),
                        read.bias(spec.attention_bias, "self_attn.v_proj", kv_rows)});
  w.output = read.matrix("self_attn.o_proj", d, q_rows);
  w.output_bias = read.bias(spec.attention_bias, "self_attn.o_proj", d);
  w.mlp_gain = read.gain("post_attention_layernorm.weight", d);
  w.gate_up = stacked({read.matrix("mlp.gate_proj", spec.mlp_width, d),
                       read.matrix("mlp.up_proj", spec.mlp_width, d)});
  w.gate_up_bias = stacked({read.bias(spec.mlp_bias, "mlp.gate_proj", spec.mlp_width),
                            read.bias(spec.mlp_bias, "mlp.up_proj", spec.mlp_width)});
  w.down = read.matrix("mlp.down_proj", d, spec.mlp_width);
  w.down_bias = read.bias(spec.mlp_bias, "mlp.down_proj", d);
  return w;
}

}  // namespace

ModelWeights load_weights(const std::string& folder, const ModelSpec& spec, at::ScalarType type) {
  const WeightFiles files(folder);
  ModelWeights weights;
  weights.embedding = files.get("model.embed_tokens.weight", {spec.vocabulary, spec.width}, type);
  for (int64_t layer = 0; layer < spec.layers; ++layer) {
    weights.layers.push_back(load_layer(LayerReader(files, layer, type), spec));
  }
  weights.final_gain = files.get("model.norm.weight", {spec.width}, type);
  weights.unembedding = spec.tied_embedding
                            ? weights.embedding
                            : files.get("lm_head.weight", {spec.vocabulary, spec.width}, type);
  return weights;
}

}  // namespace crossloom::models
