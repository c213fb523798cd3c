#include "benchmarks/forward_bench.h"

#include <vector>

#include "benchmarks/probes.h"

namespace crossloom::benchmarks {

ForwardBench bench_forward(const models::Transformer& model, int64_t tokens, int64_t repeats) {
  const auto& spec = model.spec();
  const auto options = at::TensorOptions(model.type());
  const at::Tensor ids =
      at::arange(tokens, at::TensorOptions(at::kLong)).remainder(spec.vocabulary);
  const at::Tensor n = at::rand({tokens, spec.width}, options);                    // [S, D]
  const at::Tensor z = at::rand({tokens, spec.heads * spec.head_width}, options);  // [S, H·Dh]
  const at::Tensor hidden = at::rand({tokens, spec.mlp_width}, options);           // [S, I]
  const auto forward = [&] {
    model.forward(ids, {}, {.logits = models::ForwardOptions::Logits::kNone, .cache = nullptr});
  };
  const auto gemms = [&] {
    for (const auto& w : model.weights().layers) {
      at::mm(n, w.qkv.t());
      at::mm(z, w.output.t());
      at::mm(n, w.gate_up.t());
      at::mm(hidden, w.down.t());
    }
  };
  ForwardBench result;
  const double attention_width = double(spec.heads * spec.head_width);
  const double weights_per_layer =
      double(spec.width) * double((spec.heads + 2 * spec.kv_heads) * spec.head_width) +
      attention_width * double(spec.width) + 3.0 * double(spec.width) * double(spec.mlp_width);
  result.gemm_gflop = 2e-9 * double(tokens) * double(spec.layers) * weights_per_layer;
  result.forward_gflop = result.gemm_gflop + 2e-9 * double(tokens) * double(tokens) *
                                                 double(spec.layers) * attention_width;
  forward();
  gemms();
  std::vector<double> forward_s;
  std::vector<double> gemm_s;
  for (int64_t i = 0; i < repeats; ++i) {
    forward_s.push_back(seconds_of(forward));
    gemm_s.push_back(seconds_of(gemms));
  }
  result.forward_s = median(forward_s);
  result.gemm_s = median(gemm_s);
  return result;
}

models::Transformer random_model_of_quickstart_shape(at::ScalarType type) {
  models::ModelSpec spec;
  spec.family = "llama";
  spec.layers = 30;
  spec.width = 576;
  spec.heads = 9;
  spec.kv_heads = 3;
  spec.head_width = 64;
  spec.mlp_width = 1536;
  spec.vocabulary = 49152;
  spec.context = 2048;
  spec.tied_embedding = true;
  const auto random = [&](at::IntArrayRef shape) {
    return at::randn(shape, at::TensorOptions(type)).mul_(0.02);
  };
  models::ModelWeights weights;
  weights.embedding = weights.unembedding = random({spec.vocabulary, spec.width});
  weights.final_gain = at::ones({spec.width}, at::TensorOptions(type));
  for (int64_t layer = 0; layer < spec.layers; ++layer) {
    models::LayerWeights w;
    w.attention_gain = w.mlp_gain = weights.final_gain;
    w.qkv = random({(spec.heads + 2 * spec.kv_heads) * spec.head_width, spec.width});
    w.output = random({spec.width, spec.heads * spec.head_width});
    w.gate_up = random({2 * spec.mlp_width, spec.width});
    w.down = random({spec.width, spec.mlp_width});
    weights.layers.push_back(std::move(w));
  }
  return {std::move(spec), std::move(weights)};
}

}  // namespace crossloom::benchmarks
