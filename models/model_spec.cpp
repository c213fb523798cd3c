// See model_spec.h. Every field that would change the arithmetic is read or refused; sizes are
// bounded before anything is allocated from them.
#include "models/model_spec.h"

#include <filesystem>

#include "common/error.h"
#include "common/json_file.h"
#include "common/mapped_file.h"

namespace crossloom::models {
namespace {

constexpr size_t kConfigLimit_bytes = size_t{4} << 20;
constexpr int64_t kMostLayers = 10'000;
constexpr int64_t kMostWidth = 1'000'000;
constexpr int64_t kMostVocabulary = 100'000'000;
constexpr int64_t kMostContext = 4'000'000;

class ConfigReader {
 public:
  ConfigReader(const Json& config, const std::string& source) : config_(config), source_(source) {}

  int64_t size(const char* key, int64_t most) const {
    return in_range(key, json_field<int64_t>(config_, key, source_), most);
  }
  int64_t size_or(const char* key, int64_t fallback, int64_t most) const {
    return in_range(key, json_field_or<int64_t>(config_, key, fallback, source_), most);
  }
  double positive_or(const char* key, double fallback) const {
    const double value = json_field_or<double>(config_, key, fallback, source_);
    if (!(value > 0.0 && value < 1e18)) {
      refuse(key, "a positive number", fmt::format("{}", value));
    }
    return value;
  }
  bool flag_or(const char* key, bool fallback) const {
    return json_field_or<bool>(config_, key, fallback, source_);
  }
  /// Refuses the file unless `key` is absent, null, or equal to `only`.
  template <typename T>
  void require_value(const char* key, const T& only) const {
    if (config_.contains(key) && !config_[key].is_null() && config_[key] != Json(only)) {
      refuse(key, Json(only).dump(), config_[key].dump());
    }
  }
  [[noreturn]] void refuse(const char* key, const std::string& expected,
                           const std::string& got) const {
    throw DataError({.what = fmt::format("This model's '{}' is not supported", key),
                     .expected = expected,
                     .got = got,
                     .where = source_,
                     .hint = "Supported: the Llama family with plain RoPE, SiLU and full "
                             "attention. Convert or choose another model."});
  }
  const Json& json() const { return config_; }
  const std::string& source() const { return source_; }

 private:
  int64_t in_range(const char* key, int64_t value, int64_t most) const {
    if (value < 1 || value > most) {
      refuse(key, fmt::format("1 to {}", most), fmt::format("{}", value));
    }
    return value;
  }
  const Json& config_;
  const std::string& source_;
};

/// `rope_theta` at the top (older files) or inside `rope_parameters` (newer ones).
double read_rope_base(const ConfigReader& reader) {
  const Json& config = reader.json();
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!config.contains(key) || config[key].is_null()) {
      continue;
    }
    const std::string where = fmt::format("{}, {}", reader.source(), key);
    if (!config[key].is_object()) {
      fail_json_field(key, "an object", config[key].type_name(), reader.source());
    }
    for (const char* kind : {"rope_type", "type"}) {
      const auto type = json_field_or<std::string>(config[key], kind, "default", where);
      if (type != "default") {
        reader.refuse(key, "rope_type default", type);
      }
    }
    if (config[key].contains("rope_theta")) {
      return ConfigReader(config[key], where).positive_or("rope_theta", 10000.0);
    }
  }
  return reader.positive_or("rope_theta", 10000.0);
}

std::vector<int64_t> read_eos(const ConfigReader& reader) {
  const Json& config = reader.json();
  if (!config.contains("eos_token_id") || config["eos_token_id"].is_null()) {
    return {};
  }
  const Json& eos = config["eos_token_id"];
  if (!eos.is_array()) {
    return {json_field<int64_t>(config, "eos_token_id", reader.source())};
  }
  std::vector<int64_t> ids;
  for (const Json& id : eos) {
    if (!id.is_number_integer()) {
      fail_json_field("eos_token_id", "whole numbers", id.dump(), reader.source());
    }
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

void refuse_other_arithmetic(const ConfigReader& reader) {
  const auto family = json_field<std::string>(reader.json(), "model_type", reader.source());
  if (family != "llama") {
    reader.refuse("model_type", "llama", family);
  }
  reader.require_value("hidden_act", "silu");
  reader.require_value("pretraining_tp", 1);
  reader.require_value("sliding_window", nullptr);
  reader.require_value("use_sliding_window", false);
  reader.require_value("partial_rotary_factor", 1.0);
  reader.require_value("quantization_config", nullptr);
  reader.require_value("logits_scaling", 1.0);
  reader.require_value("residual_multiplier", 1.0);
  reader.require_value("embedding_multiplier", 1.0);
}

}  // namespace

int64_t ModelSpec::parameter_count() const {
  const int64_t q = heads * head_width;
  const int64_t kv = kv_heads * head_width;
  int64_t layer = 2 * width + width * (q + 2 * kv) + q * width + 3 * width * mlp_width;
  layer += attention_bias ? q + 2 * kv + width : 0;
  layer += mlp_bias ? 2 * mlp_width + width : 0;
  return vocabulary * width * (tied_embedding ? 1 : 2) + layers * layer + width;
}

ModelSpec parse_model_spec(const std::string& config_json, const std::string& source) {
  const Json config = parse_json(config_json, source);
  if (!config.is_object()) {
    fail_json_field("model_type", "an object with the model's settings", config.type_name(),
                    source);
  }
  const ConfigReader reader(config, source);
  refuse_other_arithmetic(reader);
  ModelSpec spec;
  spec.family = "llama";
  spec.layers = reader.size("num_hidden_layers", kMostLayers);
  spec.width = reader.size("hidden_size", kMostWidth);
  spec.heads = reader.size("num_attention_heads", kMostWidth);
  spec.kv_heads = reader.size_or("num_key_value_heads", spec.heads, kMostWidth);
  if (spec.heads % spec.kv_heads != 0) {
    reader.refuse("num_key_value_heads", fmt::format("a divisor of {} heads", spec.heads),
                  fmt::format("{}", spec.kv_heads));
  }
  if (!config.contains("head_dim") && spec.width % spec.heads != 0) {
    reader.refuse("num_attention_heads", fmt::format("a divisor of hidden_size {}", spec.width),
                  fmt::format("{}", spec.heads));
  }
  spec.head_width = reader.size_or("head_dim", spec.width / spec.heads, kMostWidth);
  if (spec.head_width % 2 != 0) {
    reader.refuse("head_dim", "an even number (RoPE turns pairs)",
                  fmt::format("{}", spec.head_width));
  }
  spec.mlp_width = reader.size("intermediate_size", kMostWidth);
  spec.vocabulary = reader.size("vocab_size", kMostVocabulary);
  spec.context = reader.size_or("max_position_embeddings", 2048, kMostContext);
  spec.norm_epsilon = reader.positive_or("rms_norm_eps", 1e-6);
  spec.rope_base = read_rope_base(reader);
  spec.tied_embedding = reader.flag_or("tie_word_embeddings", false);
  spec.attention_bias = reader.flag_or("attention_bias", false);
  spec.mlp_bias = reader.flag_or("mlp_bias", false);
  spec.bos_id = json_field_or<int64_t>(config, "bos_token_id", -1, source);
  spec.eos_ids = read_eos(reader);
  return spec;
}

ModelSpec read_model_spec(const std::string& model_folder) {
  const auto path = (std::filesystem::path(model_folder) / "config.json").string();
  return parse_model_spec(read_text_file(path, kConfigLimit_bytes), path);
}

}  // namespace crossloom::models
