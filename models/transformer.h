// The host model: one spec-driven transformer (Llama family filled in).
//
//   r_0 = W_E[token];  for every layer l:
//     n = g1 ⊙ r / s1,  s1 = √(mean r² + ε)
//     att = W_O · concat_h softmax(q_h k_hᵀ / √Dh + causal) v_{g(h)},  q, k rotated (RoPE)
//     m = r + att;  u = g2 ⊙ m / s2;  o = W_down (silu(W_gate u) ⊙ W_up u);  r ← m + o
//   logits = W_U (g_f ⊙ r_L / s_f)
//
// One sequence at a time, [S]; weights in float32, bfloat16 or float64. Norm denominators, softmax
// and RoPE are computed in float32 (float64 for a float64 model) whatever the weights' type, as the
// reference does.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/hooks.h"
#include "models/model_spec.h"

namespace crossloom::models {

/// One layer's weights, [out, in] as stored by Hugging Face; biases undefined when absent.
struct LayerWeights {
  at::Tensor attention_gain;             // [D]
  at::Tensor query, key, value, output;  // [H·Dh, D], [H_kv·Dh, D], [H_kv·Dh, D], [D, H·Dh]
  at::Tensor query_bias, key_bias, value_bias, output_bias;
  at::Tensor mlp_gain;        // [D]
  at::Tensor gate, up, down;  // [I, D], [I, D], [D, I]
  at::Tensor gate_bias, up_bias, down_bias;
};

struct ModelWeights {
  at::Tensor embedding;              // [V, D]
  std::vector<LayerWeights> layers;  // [L]
  at::Tensor final_gain;             // [D]
  at::Tensor unembedding;            // [V, D]; the embedding itself when tied
};

/// Keys and values of the positions seen so far; grows with every forward that is given it.
class KvCache {
 public:
  KvCache(const ModelSpec& spec, int64_t capacity_tokens, at::ScalarType type);
  int64_t length() const { return length_; }

 private:
  friend class Transformer;
  int64_t length_ = 0;
  std::vector<at::Tensor> keys_, values_;  // [L] of [H_kv, capacity, Dh]
};

struct ForwardOptions {
  enum class Logits : uint8_t { kNone, kLast, kAll };
  Logits logits = Logits::kAll;
  KvCache* cache = nullptr;  // with a cache, `tokens` continue it
};

class Transformer {
 public:
  /// From a Hugging Face folder (config.json, *.safetensors). Throws DataError.
  static Transformer load(const std::string& folder, at::ScalarType type);
  Transformer(ModelSpec spec, ModelWeights weights);

  const ModelSpec& spec() const { return spec_; }
  const ModelWeights& weights() const { return weights_; }
  at::ScalarType type() const { return type_; }

  /// tokens int64 [S] → logits [S, V], [1, V] or undefined. Throws ConfigError when S is 0 or
  /// longer than the context, DataError when an id is outside the vocabulary.
  at::Tensor forward(const at::Tensor& tokens, const Hooks& hooks = {},
                     const ForwardOptions& options = {}) const;

  /// Embedding rows [S, D] of tokens: the residual entering layer 0.
  at::Tensor embed(const at::Tensor& tokens) const;
  /// Final norm and unembedding of a residual [S, D].
  at::Tensor unembed(const at::Tensor& residual, const Hooks& hooks = {}) const;
  /// The MLP of layer l alone: u [S, D] → o [S, D].
  at::Tensor mlp(int64_t layer, const at::Tensor& u) const;

 private:
  at::Tensor attention(int64_t layer, const at::Tensor& residual, const Hooks& hooks,
                       KvCache* cache) const;

  ModelSpec spec_;
  ModelWeights weights_;
  at::ScalarType type_;
  at::Tensor rope_cos_, rope_sin_;  // [context, Dh]
};

}  // namespace crossloom::models
