// A tiny random Llama as a Hugging Face folder: config.json, model.safetensors, tokenizer.json with
// one token per byte. Weights are a function of the seed.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "common/json_file.h"
#include "common/output_file.h"
#include "common/rng.h"
#include "common/tensor_file.h"
#include "models/byte_level.h"

namespace crossloom::test {

struct TinyLlamaOptions {
  int64_t layers = 3;
  int64_t width = 24;
  int64_t heads = 3;
  int64_t kv_heads = 1;
  int64_t mlp_width = 40;
  int64_t context = 64;
  uint64_t seed = 1;
};

inline constexpr int64_t kTinyVocabulary = 259;  // BOS 0, EOS 1, pad 2, then the bytes

inline void write_tiny_tokenizer(const std::string& folder) {
  Json vocab = {{"<|bos|>", 0}, {"<|eos|>", 1}, {"<|pad|>", 2}};
  for (int byte = 0; byte < 256; ++byte) {
    vocab[models::to_symbols(std::string(1, static_cast<char>(byte)))] = byte + 3;
  }
  Json added = Json::array();
  int id = 0;
  for (const char* content : {"<|bos|>", "<|eos|>", "<|pad|>"}) {
    added.push_back({{"id", id++},
                     {"content", content},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", true}};
  write_json_file(folder + "/tokenizer.json", {{"version", "1.0"},
                                               {"added_tokens", added},
                                               {"normalizer", nullptr},
                                               {"pre_tokenizer", byte_level},
                                               {"post_processor", nullptr},
                                               {"decoder", byte_level},
                                               {"model",
                                                {{"type", "BPE"},
                                                 {"dropout", nullptr},
                                                 {"unk_token", nullptr},
                                                 {"continuing_subword_prefix", nullptr},
                                                 {"end_of_word_suffix", nullptr},
                                                 {"fuse_unk", false},
                                                 {"byte_fallback", false},
                                                 {"vocab", vocab},
                                                 {"merges", Json::array()}}}});
}

inline void write_tiny_llama(const std::string& folder, const TinyLlamaOptions& o = {}) {
  const int64_t head_width = o.width / o.heads;
  write_json_file(folder + "/config.json", {{"architectures", {"LlamaForCausalLM"}},
                                            {"model_type", "llama"},
                                            {"hidden_act", "silu"},
                                            {"hidden_size", o.width},
                                            {"intermediate_size", o.mlp_width},
                                            {"num_hidden_layers", o.layers},
                                            {"num_attention_heads", o.heads},
                                            {"num_key_value_heads", o.kv_heads},
                                            {"head_dim", head_width},
                                            {"max_position_embeddings", o.context},
                                            {"rms_norm_eps", 1e-5},
                                            {"rope_theta", 10000.0},
                                            {"tie_word_embeddings", true},
                                            {"attention_bias", false},
                                            {"mlp_bias", false},
                                            {"vocab_size", kTinyVocabulary},
                                            {"bos_token_id", 0},
                                            {"eos_token_id", 1}});
  std::vector<std::vector<float>> memory;
  std::vector<TensorToWrite> tensors;
  const Rng rng(o.seed, Purpose::kRandomModel);
  const auto add = [&](const std::string& name, std::vector<int64_t> shape, float mean,
                       float scale) {
    int64_t count = 1;
    for (const int64_t extent : shape) {
      count *= extent;
    }
    auto& values = memory.emplace_back(size_t(count), 0.0F);
    const Rng own = rng.with(tensors.size());
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = mean + scale * own.normal(i);
    }
    tensors.push_back({name, DType::kF32, std::move(shape), {}});
  };
  add("model.embed_tokens.weight", {kTinyVocabulary, o.width}, 0.0F, 1.0F);
  for (int64_t layer = 0; layer < o.layers; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    add(prefix + "input_layernorm.weight", {o.width}, 1.0F, 0.1F);
    add(prefix + "self_attn.q_proj.weight", {o.heads * head_width, o.width}, 0.0F, 0.2F);
    add(prefix + "self_attn.k_proj.weight", {o.kv_heads * head_width, o.width}, 0.0F, 0.2F);
    add(prefix + "self_attn.v_proj.weight", {o.kv_heads * head_width, o.width}, 0.0F, 0.2F);
    add(prefix + "self_attn.o_proj.weight", {o.width, o.heads * head_width}, 0.0F, 0.2F);
    add(prefix + "post_attention_layernorm.weight", {o.width}, 1.0F, 0.1F);
    add(prefix + "mlp.gate_proj.weight", {o.mlp_width, o.width}, 0.0F, 0.2F);
    add(prefix + "mlp.up_proj.weight", {o.mlp_width, o.width}, 0.0F, 0.2F);
    add(prefix + "mlp.down_proj.weight", {o.width, o.mlp_width}, 0.0F, 0.2F);
  }
  add("model.norm.weight", {o.width}, 1.0F, 0.1F);
  for (size_t i = 0; i < tensors.size(); ++i) {
    tensors[i].bytes = std::as_bytes(std::span(memory[i]));
  }
  write_tensor_file(folder + "/model.safetensors", tensors, {});
}

}  // namespace crossloom::test
