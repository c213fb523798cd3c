// See model_spec.h. A key we do not know is ignored when the forward pass cannot depend on it;
// every key that would change the result and is not implemented is listed here and refused.
#include "models/model_spec.h"

#include <filesystem>

#include "common/error.h"
#include "common/json_file.h"
#include "common/mapped_file.h"

namespace crossloom::models {
namespace {

constexpr size_t kFileLimit_bytes = 4'000'000;
constexpr int64_t kLayerLimit = 10'000;
constexpr int64_t kWidthLimit = 1'000'000;
constexpr int64_t kInnerLimit = 10'000'000;  // MLP width; heads · head width
constexpr int64_t kVocabularyLimit = 100'000'000;
constexpr int64_t kContextLimit = int64_t{1} << 40;

[[noreturn]] void refuse(const std::string& what, const std::string& expected,
                         const std::string& got, const std::string& source) {
  throw DataError({.what = what,
                   .expected = expected,
                   .got = got,
                   .where = source,
                   .hint = "The forward pass would be wrong. Use a plain Llama-family model."});
}

std::string shown(const Json& value) {
  return value.dump(-1, ' ', true, Json::error_handler_t::replace);
}

/// A size in [1, limit]; required unless `fallback` > 0.
int64_t size_field(const Json& config, const char* key, int64_t limit, int64_t fallback,
                   const std::string& source) {
  const int64_t value = fallback > 0 ? json_field_or<int64_t>(config, key, fallback, source)
                                     : json_field<int64_t>(config, key, source);
  if (value < 1 || value > limit) {
    throw DataError({.what = fmt::format("'{}' is out of range", key),
                     .expected = fmt::format("1 to {}", limit),
                     .got = fmt::format("{}", value),
                     .where = source,
                     .hint = "The file may be damaged: fetch it again."});
  }
  return value;
}

double positive_field(const Json& object, const char* key, double fallback,
                      const std::string& source) {
  const double value = json_field_or<double>(object, key, fallback, source);
  if (!(value > 0.0 && value < 1e30)) {
    refuse(fmt::format("'{}' is out of range", key), "a positive number", fmt::format("{}", value),
           source);
  }
  return value;
}

void refuse_other_family(const Json& config, const std::string& source) {
  const auto family = json_field<std::string>(config, "model_type", source);
  if (family != "llama") {
    refuse("The model's family is not supported", "model_type llama", family, source);
  }
  const Json& architectures = json_part(config, "architectures");
  if (!architectures.is_null() && architectures != Json::array({"LlamaForCausalLM"})) {
    refuse("The model's architecture is not supported", "[\"LlamaForCausalLM\"]",
           shown(architectures), source);
  }
  const auto activation = json_field_or<std::string>(config, "hidden_act", "silu", source);
  if (activation != "silu") {
    refuse("The MLP's activation is not supported", "hidden_act silu", activation, source);
  }
}

/// Keys that change the result and are not implemented: each must be absent, null or as given.
void refuse_unsupported_keys(const Json& config, const std::string& source) {
  struct Row {
    const char* key;
    Json neutral;
    const char* what;
  };
  const Row rows[] = {
      {"pretraining_tp", 1, "Split projections are not supported"},
      {"sliding_window", nullptr, "Sliding-window attention is not supported"},
      {"use_sliding_window", false, "Sliding-window attention is not supported"},
      {"partial_rotary_factor", 1.0, "Partial rotary embeddings are not supported"},
      {"attn_logit_softcapping", nullptr, "Soft-capped attention is not supported"},
      {"final_logit_softcapping", nullptr, "Soft-capped logits are not supported"},
      {"quantization_config", nullptr, "Quantised weights are not supported"},
      {"use_qk_norm", false, "Query-key normalisation is not supported"},
      {"qk_norm", false, "Query-key normalisation is not supported"},
      {"num_local_experts", 1, "Mixtures of experts are not supported"},
      {"is_encoder_decoder", false, "Encoder-decoder models are not supported"},
  };
  for (const Row& row : rows) {
    const Json& value = json_part(config, row.key);
    if (!value.is_null() && value != row.neutral) {
      refuse(row.what, fmt::format("{} {}", row.key, row.neutral.dump()), shown(value), source);
    }
  }
  for (const Json& type : json_part(config, "layer_types")) {
    if (type != "full_attention") {
      refuse("A layer type is not supported", "layer_types full_attention", shown(type), source);
    }
  }
}

void refuse_rope_scaling(const Json& scaling, const char* key, const std::string& source) {
  if (scaling.is_null()) {
    return;
  }
  const Json& type =
      json_part(scaling, json_part(scaling, "rope_type").is_null() ? "type" : "rope_type");
  if (!scaling.is_object() || (type != "default" && !type.is_null())) {
    refuse("Scaled rotary embeddings are not supported", fmt::format("{} of type default", key),
           shown(scaling), source);
  }
}

/// rope_theta, or rope_parameters.rope_theta in newer files.
double rope_base(const Json& config, const std::string& source) {
  refuse_rope_scaling(json_part(config, "rope_scaling"), "rope_scaling", source);
  const Json& parameters = json_part(config, "rope_parameters");
  refuse_rope_scaling(parameters, "rope_parameters", source);
  for (const auto& [key, value] : parameters.items()) {
    if (key == "partial_rotary_factor" ? value != 1.0 && !value.is_null() : value.is_object()) {
      refuse("These rotary parameters are not supported", "one rope_theta for all layers",
             shown(parameters), source);
    }
  }
  const double outer = positive_field(config, "rope_theta", 10000.0, source);
  const double inner = positive_field(parameters, "rope_theta", outer, source);
  if (!json_part(config, "rope_theta").is_null() && inner != outer) {
    refuse("rope_theta and rope_parameters.rope_theta differ", fmt::format("{}", outer),
           fmt::format("{}", inner), source);
  }
  return inner;
}

int64_t checked_id(const Json& value, const char* key, int64_t vocabulary,
                   const std::string& source) {
  const bool whole = detail::json_type_fits<int64_t>(value);
  if (!whole || value.get<int64_t>() < 0 || value.get<int64_t>() >= vocabulary) {
    refuse(fmt::format("'{}' is not a token id", key), fmt::format("0 to {}", vocabulary - 1),
           shown(value), source);
  }
  return value.get<int64_t>();
}

void read_ids(const Json& config, ModelSpec& spec, const std::string& source) {
  const Json& bos = json_part(config, "bos_token_id");
  spec.bos_id = bos.is_null() ? -1 : checked_id(bos, "bos_token_id", spec.vocabulary, source);
  const Json& eos = json_part(config, "eos_token_id");
  const Json list = eos.is_array() ? eos : eos.is_null() ? Json::array() : Json::array({eos});
  for (const Json& id : list) {
    spec.eos_ids.push_back(checked_id(id, "eos_token_id", spec.vocabulary, source));
  }
}

void read_attention(const Json& config, ModelSpec& spec, const std::string& source) {
  spec.heads = size_field(config, "num_attention_heads", kWidthLimit, 0, source);
  spec.kv_heads = size_field(config, "num_key_value_heads", kWidthLimit, spec.heads, source);
  if (spec.heads % spec.kv_heads != 0) {
    refuse("The key-value heads do not divide the heads",
           fmt::format("num_key_value_heads that divides {}", spec.heads),
           fmt::format("{}", spec.kv_heads), source);
  }
  if (json_part(config, "head_dim").is_null() && spec.width % spec.heads != 0) {
    refuse("The heads do not divide the width and there is no head_dim",
           fmt::format("num_attention_heads that divides {}", spec.width),
           fmt::format("{}", spec.heads), source);
  }
  spec.head_width = size_field(config, "head_dim", kWidthLimit,
                               std::max<int64_t>(spec.width / spec.heads, 1), source);
  if (spec.head_width % 2 != 0) {
    refuse("Rotary embeddings need an even head width", "an even head_dim",
           fmt::format("{}", spec.head_width), source);
  }
  if (spec.heads * spec.head_width > kInnerLimit) {
    refuse("The attention is too wide", fmt::format("heads · head_dim up to {}", kInnerLimit),
           fmt::format("{}", spec.heads * spec.head_width), source);
  }
}

}  // namespace

int64_t ModelSpec::parameter_count() const {
  const int64_t queries = heads * head_width;
  const int64_t keys = kv_heads * head_width;
  int64_t layer = 2 * width * queries + 2 * width * keys + 3 * width * mlp_width + 2 * width;
  layer += attention_bias ? queries + 2 * keys + width : 0;
  layer += mlp_bias ? 2 * mlp_width + width : 0;
  return vocabulary * width * (tied_embedding ? 1 : 2) + layers * layer + width;
}

ModelSpec parse_model_spec(const std::string& config_json, const std::string& source) {
  const Json config = parse_json(config_json, source);
  if (!config.is_object()) {
    refuse("This is not a config.json", "an object", config.type_name(), source);
  }
  refuse_other_family(config, source);
  refuse_unsupported_keys(config, source);
  ModelSpec spec;
  spec.family = "llama";
  spec.layers = size_field(config, "num_hidden_layers", kLayerLimit, 0, source);
  spec.width = size_field(config, "hidden_size", kWidthLimit, 0, source);
  spec.mlp_width = size_field(config, "intermediate_size", kInnerLimit, 0, source);
  spec.vocabulary = size_field(config, "vocab_size", kVocabularyLimit, 0, source);
  // Where a key may be absent the fallback is the one of transformers' LlamaConfig.
  spec.context = size_field(config, "max_position_embeddings", kContextLimit, 2048, source);
  spec.norm_epsilon = positive_field(config, "rms_norm_eps", 1e-6, source);
  spec.rope_base = rope_base(config, source);
  spec.tied_embedding = json_field_or<bool>(config, "tie_word_embeddings", false, source);
  spec.attention_bias = json_field_or<bool>(config, "attention_bias", false, source);
  spec.mlp_bias = json_field_or<bool>(config, "mlp_bias", false, source);
  read_attention(config, spec, source);
  read_ids(config, spec, source);
  return spec;
}

ModelSpec read_model_spec(const std::string& model_folder) {
  const std::string path = (std::filesystem::path(model_folder) / "config.json").string();
  return parse_model_spec(read_text_file(path, kFileLimit_bytes), path);
}

}  // namespace crossloom::models
