// Small random host models, a pure function of the seed, for tests that need exactness, not sense.
#pragma once

#include "common/rng.h"
#include "models/transformer.h"

namespace crossloom::test {

struct TinyModel {
  int64_t layers = 3;
  int64_t width = 24;
  int64_t heads = 3;
  int64_t kv_heads = 1;
  int64_t head_width = 8;
  int64_t mlp_width = 40;
  int64_t vocabulary = 61;
  int64_t context = 64;
  bool biases = false;
  bool tied = true;
  uint64_t seed = 1;
};

/// Normal draws times `spread` plus `centre`, in float64.
inline at::Tensor random_tensor(const Rng& rng, at::IntArrayRef shape, double spread,
                                double centre = 0.0) {
  at::Tensor tensor = at::empty(shape, at::TensorOptions(at::kDouble));
  auto* values = tensor.mutable_data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    values[i] = centre + spread * static_cast<double>(rng.normal(static_cast<uint64_t>(i)));
  }
  return tensor;
}

inline models::Transformer make_tiny_model(const TinyModel& tiny, at::ScalarType type) {
  models::ModelSpec spec;
  spec.family = "llama";
  spec.layers = tiny.layers;
  spec.width = tiny.width;
  spec.heads = tiny.heads;
  spec.kv_heads = tiny.kv_heads;
  spec.head_width = tiny.head_width;
  spec.mlp_width = tiny.mlp_width;
  spec.vocabulary = tiny.vocabulary;
  spec.context = tiny.context;
  spec.tied_embedding = tiny.tied;
  spec.attention_bias = spec.mlp_bias = tiny.biases;
  spec.bos_id = 1;
  uint64_t next = 0;
  const auto draw = [&](at::IntArrayRef shape, double spread, double centre = 0.0) {
    return random_tensor(Rng(tiny.seed, Purpose::kRandomModel).with(next++), shape, spread, centre)
        .to(type);
  };
  const auto bias = [&](int64_t size) { return tiny.biases ? draw({size}, 0.3) : at::Tensor{}; };
  models::ModelWeights weights;
  weights.embedding = draw({spec.vocabulary, spec.width}, 0.6);
  weights.unembedding = tiny.tied ? weights.embedding : draw({spec.vocabulary, spec.width}, 0.6);
  weights.final_gain = draw({spec.width}, 0.2, 1.0);
  const int64_t qkv_rows = (spec.heads + 2 * spec.kv_heads) * spec.head_width;
  for (int64_t l = 0; l < spec.layers; ++l) {
    models::LayerWeights w;
    w.attention_gain = draw({spec.width}, 0.2, 1.0);
    w.qkv = draw({qkv_rows, spec.width}, 0.3);
    w.qkv_bias = bias(qkv_rows);
    w.output = draw({spec.width, spec.heads * spec.head_width}, 0.3);
    w.output_bias = bias(spec.width);
    w.mlp_gain = draw({spec.width}, 0.2, 1.0);
    w.gate_up = draw({2 * spec.mlp_width, spec.width}, 0.3);
    w.gate_up_bias = bias(2 * spec.mlp_width);
    w.down = draw({spec.width, spec.mlp_width}, 0.3);
    w.down_bias = bias(spec.width);
    weights.layers.push_back(std::move(w));
  }
  return {std::move(spec), std::move(weights)};
}

/// Token ids 0 … V−1, a pure function of the seed: int64 [count].
inline at::Tensor random_tokens(int64_t count, int64_t vocabulary, uint64_t seed) {
  const Rng rng(seed, Purpose::kTest);
  at::Tensor tokens = at::empty({count}, at::TensorOptions(at::kLong));
  for (int64_t i = 0; i < count; ++i) {
    tokens[i] = static_cast<int64_t>(rng.uniform_double(static_cast<uint64_t>(i)) *
                                     static_cast<double>(vocabulary));
  }
  return tokens;
}

}  // namespace crossloom::test
