// The forward pass; formulas in transformer.h. Attention lives in attention.cpp.
#include "models/transformer.h"

#include <utility>

#include "models/norm.h"
#include "models/rope.h"
#include "models/weights.h"

namespace crossloom::models {

KvCache::KvCache(const ModelSpec& spec, int64_t capacity_tokens, at::ScalarType type) {
  for (int64_t layer = 0; layer < spec.layers; ++layer) {
    const auto make = [&] {
      return at::empty({spec.kv_heads, capacity_tokens, spec.head_width}, at::TensorOptions(type));
    };
    keys_.push_back(make());
    values_.push_back(make());
  }
}

Transformer Transformer::load(const std::string& folder, at::ScalarType type) {
  ModelSpec spec = read_model_spec(folder);
  ModelWeights weights = load_weights(folder, spec, type);
  return {std::move(spec), std::move(weights)};
}

Transformer::Transformer(ModelSpec spec, ModelWeights weights)
    : spec_(std::move(spec)),
      weights_(std::move(weights)),
      type_(weights_.embedding.scalar_type()),
      rope_(rope_tables(spec_.context, spec_.head_width, spec_.rope_base, type_)) {
  const int64_t kv_rows = spec_.kv_heads * spec_.head_width;
  const int64_t value_row = spec_.heads * spec_.head_width + kv_rows;
  for (auto& layer : weights_.layers) {
    layer.value = layer.qkv.narrow(0, value_row, kv_rows);
    if (layer.qkv_bias.defined()) {
      layer.value_bias = layer.qkv_bias.narrow(0, value_row, kv_rows);
    }
  }
}

void Transformer::check_tokens(const at::Tensor& tokens, const KvCache* cache) const {
  check_shape(tokens, {-1}, "tokens");
  const int64_t past = cache == nullptr ? 0 : cache->length();
  if (tokens.size(0) == 0 || past + tokens.size(0) > spec_.context) {
    throw ConfigError(
        {.what = tokens.size(0) == 0 ? "The prompt is empty" : "The prompt is too long",
         .expected = fmt::format("1 to {} tokens", spec_.context),
         .got = fmt::format("{} tokens", past + tokens.size(0)),
         .where = "prompt",
         .hint = "Change the prompt or the context length."});
  }
  const int64_t low = tokens.min().item<int64_t>();
  const int64_t high = tokens.max().item<int64_t>();
  if (low < 0 || high >= spec_.vocabulary) {
    throw DataError({.what = "A token id is outside the model's vocabulary",
                     .expected = fmt::format("0 to {}", spec_.vocabulary - 1),
                     .got = fmt::format("{}", low < 0 ? low : high),
                     .where = "tokens",
                     .hint = "Do tokenizer.json and config.json belong to the same model?"});
  }
}

at::Tensor Transformer::embed(const at::Tensor& tokens) const {
  return weights_.embedding.index_select(0, tokens).to(residual_type());
}

at::Tensor Transformer::normed(const at::Tensor& x, const at::Tensor& gain, HookPoint scale_point,
                               int64_t layer, const Hooks& hooks) const {
  const bool is_mlp = scale_point == HookPoint::kLn2Scale;
  if (!x.requires_grad() && !hooks.wants(scale_point) &&
      !(is_mlp && hooks.wants(HookPoint::kMlpNormalized))) {
    return rms_norm(x, gain, spec_.norm_epsilon);
  }
  at::Tensor scale = rms_scale(x, spec_.norm_epsilon);  // [S, 1]
  hooks.call(scale_point, layer, scale);
  at::Tensor normalized = x / scale;  // [S, D]
  if (is_mlp) {
    hooks.call(HookPoint::kMlpNormalized, layer, normalized);
  }
  return normalized.to(type_) * gain;
}

at::Tensor Transformer::mlp(int64_t layer, const at::Tensor& u) const {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  const auto halves = at::linear(u, w.gate_up, w.gate_up_bias).chunk(2, -1);  // [S, I] each
  return at::linear(at::silu(halves[0]).mul_(halves[1]), w.down, w.down_bias);
}

at::Tensor Transformer::unembed(const at::Tensor& residual, const Hooks& hooks) const {
  const at::Tensor n =
      normed(residual, weights_.final_gain, HookPoint::kFinalScale, spec_.layers - 1, hooks);
  return at::linear(n, weights_.unembedding).to(residual_type());
}

at::Tensor Transformer::forward(const at::Tensor& tokens, const Hooks& hooks,
                                const ForwardOptions& options) const {
  check_tokens(tokens, options.cache);
  at::Tensor r = embed(tokens);  // [S, D]
  for (int64_t layer = 0; layer < spec_.layers; ++layer) {
    const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
    hooks.call(HookPoint::kResidPre, layer, r);
    const at::Tensor n = normed(r, w.attention_gain, HookPoint::kLn1Scale, layer, hooks);
    at::Tensor att = attention(layer, n, hooks, options.cache);  // [S, D]
    hooks.call(HookPoint::kAttnOut, layer, att);
    at::Tensor m = r + att;
    hooks.call(HookPoint::kResidMid, layer, m);
    at::Tensor u = normed(m, w.mlp_gain, HookPoint::kLn2Scale, layer, hooks);
    hooks.call(HookPoint::kMlpIn, layer, u);
    at::Tensor o = mlp(layer, u);
    hooks.call(HookPoint::kMlpOut, layer, o);
    r = m + o;
  }
  hooks.call(HookPoint::kResidFinal, spec_.layers - 1, r);
  if (options.cache != nullptr) {
    options.cache->length_ += tokens.size(0);
  }
  switch (options.logits) {
    case ForwardOptions::Logits::kNone:
      return {};
    case ForwardOptions::Logits::kLast:
      return unembed(r.narrow(0, r.size(0) - 1, 1), hooks);
    case ForwardOptions::Logits::kAll:
      break;
  }
  return unembed(r, hooks);
}

}  // namespace crossloom::models
