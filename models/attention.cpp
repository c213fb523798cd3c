// Causal attention with grouped queries: head h reads the keys and values of group h / (H / H_kv).
//
//   A_h = softmax(q_h k_gᵀ / √Dh + causal),  z_h = A_h v_g,  att = W_O concat_h z_h + b_O
//
// When nobody wants the pattern, LibTorch's fused kernel computes z without storing A.
#include <ATen/ops/scaled_dot_product_attention.h>

#include <cmath>
#include <limits>

#include "models/rope.h"
#include "models/transformer.h"

namespace crossloom::models {
namespace {

/// true where query row i (at position past + i) may look: columns ≤ past + i. [S, past + S]
at::Tensor causal_mask(int64_t queries, int64_t keys) {
  return at::ones({queries, keys}, at::TensorOptions(at::kBool)).tril(keys - queries);
}

/// [H_kv, S, Dh] → [H, S, Dh], each group repeated for its query heads.
at::Tensor per_query_head(const at::Tensor& grouped, int64_t heads) {
  const int64_t repeats = heads / grouped.size(0);
  return repeats == 1 ? grouped : grouped.repeat_interleave(repeats, 0);
}

}  // namespace

at::Tensor Transformer::attend(int64_t layer, const at::Tensor& q, const at::Tensor& k,
                               const at::Tensor& v, const Hooks& hooks) const {
  const int64_t queries = q.size(1);
  const int64_t keys = k.size(1);
  const at::Tensor key = per_query_head(k, spec_.heads);
  const at::Tensor value = per_query_head(v, spec_.heads);
  if (!hooks.wants(HookPoint::kPattern) && !v.requires_grad()) {
    const bool plain_causal = queries == keys;
    const std::optional<at::Tensor> mask =
        plain_causal || queries == 1 ? std::nullopt : std::optional(causal_mask(queries, keys));
    return at::scaled_dot_product_attention(q.unsqueeze(0), key.unsqueeze(0), value.unsqueeze(0),
                                            mask, /*dropout_p=*/0.0, plain_causal)
        .squeeze(0);
  }
  const double scale = 1.0 / std::sqrt(static_cast<double>(spec_.head_width));
  const at::Tensor scores = at::matmul(q, key.transpose(1, 2)).to(residual_type()) * scale;
  at::Tensor pattern = scores
                           .masked_fill(causal_mask(queries, keys).logical_not(),
                                        -std::numeric_limits<double>::infinity())
                           .softmax(-1);  // [H, S, past + S]
  hooks.call(HookPoint::kPattern, layer, pattern);
  return at::matmul(pattern.to(type_), value);
}

at::Tensor Transformer::attention(int64_t layer, const at::Tensor& n, const Hooks& hooks,
                                  KvCache* cache) const {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  const int64_t positions = n.size(0);
  const int64_t past = cache == nullptr ? 0 : cache->length_;
  const at::Tensor qkv = at::linear(n, w.qkv, w.qkv_bias)
                             .view({positions, spec_.heads + 2 * spec_.kv_heads, spec_.head_width});
  const at::Tensor q = rotate(qkv.narrow(1, 0, spec_.heads), rope_, past);  // [H, S, Dh]
  at::Tensor k = rotate(qkv.narrow(1, spec_.heads, spec_.kv_heads), rope_, past);
  at::Tensor v = qkv.narrow(1, spec_.heads + spec_.kv_heads, spec_.kv_heads).transpose(0, 1);
  if (cache != nullptr) {
    auto& keys = cache->keys_[static_cast<size_t>(layer)];
    auto& values = cache->values_[static_cast<size_t>(layer)];
    CROSSLOOM_CHECK(past + positions <= keys.size(1), "the cache holds {} positions, {} are needed",
                    keys.size(1), past + positions);
    keys.narrow(1, past, positions).copy_(k);
    values.narrow(1, past, positions).copy_(v);
    k = keys.narrow(1, 0, past + positions);
    v = values.narrow(1, 0, past + positions);
  }
  const at::Tensor z = attend(layer, q, k, v, hooks);  // [H, S, Dh]
  return at::linear(z.transpose(0, 1).reshape({positions, spec_.heads * spec_.head_width}),
                    w.output, w.output_bias);
}

}  // namespace crossloom::models
