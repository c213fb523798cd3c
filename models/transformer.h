// The host model: one spec-driven transformer (Llama family filled in).
//
//   r_0 = W_E[token];  for every layer l:
//     n = g1 ⊙ r / s1,  s1 = √(mean r² + ε)
//     att = W_O · concat_h softmax(q_h k_hᵀ / √Dh + causal) v_{g(h)},  q, k rotated (RoPE)
//     m = r + att;  u = g2 ⊙ m / s2;  o = W_down (silu(W_gate u) ⊙ W_up u);  r ← m + o
//   logits = W_U (g_f ⊙ r_L / s_f)
//
// One sequence at a time, [S]; weights in float32, bfloat16 or float64. Residual, norm denominators
// and RoPE tables are float32 (float64 for a float64 model) whatever the weights' type.
//
// With hooks that replace patterns and denominators by constants, and autograd on, the same forward
// is the frozen linear model (models/frozen.h): no second implementation exists.
#pragma once

#include <string>
#include <vector>

#include "models/hooks.h"
#include "models/model_spec.h"
#include "models/rope.h"

namespace crossloom::models {

/// One layer's weights, [out, in] as stored by Hugging Face; biases undefined when absent. What is
/// multiplied by the same input is one tensor (one GEMM); query, key, … are views into it.
struct LayerWeights {
  at::Tensor attention_gain;         // [D]
  at::Tensor qkv, qkv_bias;          // [(H + 2 H_kv)·Dh, D], [(H + 2 H_kv)·Dh]
  at::Tensor value, value_bias;      // views: [H_kv·Dh, D], [H_kv·Dh]
  at::Tensor output, output_bias;    // [D, H·Dh], [D]
  at::Tensor mlp_gain;               // [D]
  at::Tensor gate_up, gate_up_bias;  // [2 I, D], [2 I]
  at::Tensor down, down_bias;        // [D, I], [D]
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
  /// Type of the weights.
  at::ScalarType type() const { return type_; }
  /// Type of the residual stream: float32, or float64 for a float64 model.
  at::ScalarType residual_type() const { return type_ == at::kDouble ? at::kDouble : at::kFloat; }

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
  void check_tokens(const at::Tensor& tokens, const KvCache* cache) const;
  at::Tensor normed(const at::Tensor& x, const at::Tensor& gain, HookPoint scale_point,
                    int64_t layer, const Hooks& hooks) const;
  at::Tensor attention(int64_t layer, const at::Tensor& n, const Hooks& hooks,
                       KvCache* cache) const;
  at::Tensor attend(int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const Hooks& hooks) const;

  ModelSpec spec_;
  ModelWeights weights_;
  at::ScalarType type_;
  RopeTables rope_;
};

}  // namespace crossloom::models
