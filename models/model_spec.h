// What a host model is, as numbers: read from a Hugging Face config.json, so that one transformer
// serves all families (design.md: one spec-driven transformer, not one class per family).
// The Llama family is filled in; anything the forward pass would get wrong is refused by name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace crossloom::models {

struct ModelSpec {
  std::string family;          // "llama"
  int64_t layers = 0;          // L
  int64_t width = 0;           // D
  int64_t heads = 0;           // H
  int64_t kv_heads = 0;        // H_kv, divides H
  int64_t head_width = 0;      // Dh
  int64_t mlp_width = 0;       // I
  int64_t vocabulary = 0;      // V
  int64_t context = 0;         // longest supported prompt, tokens
  double norm_epsilon = 1e-5;  // RMSNorm
  double rope_base = 10000.0;
  bool tied_embedding = false;  // the unembedding is the embedding's transpose
  bool attention_bias = false;  // b_Q, b_K, b_V, b_O exist
  bool mlp_bias = false;        // b_gate, b_up, b_down exist
  int64_t bos_id = -1;          // -1: none declared
  std::vector<int64_t> eos_ids;

  int64_t parameter_count() const;
  /// Bytes of the weights at `bytes_per_element`.
  int64_t weight_bytes(int64_t bytes_per_element) const {
    return parameter_count() * bytes_per_element;
  }
};

/// From the text of a config.json; `source` is what errors call it. Throws DataError.
ModelSpec parse_model_spec(const std::string& config_json, const std::string& source);

/// From `<folder>/config.json`. Throws DataError.
ModelSpec read_model_spec(const std::string& model_folder);

}  // namespace crossloom::models
