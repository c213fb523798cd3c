#include "eval/adjoint.h"

#include <algorithm>

namespace crossloom::eval {
namespace {

/// Rows 0 … n − 1 of a per-position constant [S, 1], ready to divide [B, n, D].
at::Tensor first_rows(const at::Tensor& scale, int64_t n) {
  return scale.narrow(0, 0, n);
}

}  // namespace

FrozenAdjoint::FrozenAdjoint(const models::Transformer& model, const models::FrozenRun& run)
    : model_(model), run_(run) {
  CROSSLOOM_CHECK(model.type() == run.embedding.scalar_type(),
                  "attribution needs a float32 or float64 model");
}

at::Tensor FrozenAdjoint::hook_transposed(int64_t layer, const at::Tensor& gradient,
                                          int64_t positions) const {
  const auto l = static_cast<size_t>(layer);
  switch (run_.input) {
    case models::HookPoint::kResidMid:
      return gradient;
    case models::HookPoint::kMlpNormalized:
      return gradient / first_rows(run_.ln2_scale[l], positions);
    default:
      return gradient * model_.weights().layers[l].mlp_gain /
             first_rows(run_.ln2_scale[l], positions);
  }
}

AdjointState FrozenAdjoint::inject_features(int64_t layer, const at::Tensor& v,
                                            const std::vector<int64_t>& positions) const {
  check_shape(v, {static_cast<int64_t>(positions.size()), model_.spec().width}, "v");
  const int64_t n = *std::max_element(positions.begin(), positions.end()) + 1;
  at::Tensor gradient = at::zeros({v.size(0), n, v.size(1)}, v.options());
  for (int64_t b = 0; b < v.size(0); ++b) {
    gradient[b][positions[static_cast<size_t>(b)]].copy_(v[b]);
  }
  AdjointState state{hook_transposed(layer, gradient, n), at::zeros({v.size(0)}, v.options()),
                     at::zeros({v.size(0)}, v.options())};
  pull_through_attention(layer, state);
  return state;
}

AdjointState FrozenAdjoint::inject_logits(const at::Tensor& v) const {
  check_shape(v, {-1, model_.spec().width}, "v");
  const int64_t n = run_.embedding.size(0);
  AdjointState state{at::zeros({v.size(0), n, v.size(1)}, v.options()),
                     at::zeros({v.size(0)}, v.options()), at::zeros({v.size(0)}, v.options())};
  state.gradient.select(1, n - 1).copy_(v * model_.weights().final_gain / run_.final_scale);
  return state;
}

void FrozenAdjoint::pull_through(int64_t layer, const at::Tensor& skip, AdjointState& state) const {
  if (skip.defined()) {
    at::Tensor through = at::matmul(state.gradient, skip);  // [B, n, D]
    through.select(1, 0).zero_();                           // position 0 has no transcoder
    state.gradient = state.gradient + hook_transposed(layer, through, through.size(1));
  }
  pull_through_attention(layer, state);
}

void FrozenAdjoint::pull_through_attention(int64_t layer, AdjointState& state) const {
  const auto l = static_cast<size_t>(layer);
  const auto& spec = model_.spec();
  const auto& w = model_.weights().layers[l];
  const int64_t batch = state.gradient.size(0);
  const int64_t n = state.gradient.size(1);
  const int64_t group = spec.heads / spec.kv_heads;

  const at::Tensor z = at::matmul(state.gradient, w.output)  // [B, n, H·Dh]
                           .view({batch, n, spec.heads, spec.head_width})
                           .transpose(1, 2);                                   // [B, H, n, Dh]
  const at::Tensor pattern = run_.pattern[l].narrow(1, 0, n).narrow(2, 0, n);  // [H, n, n]
  const at::Tensor v = at::matmul(pattern.transpose(1, 2), z)                  // [B, H, n, Dh]
                           .view({batch, spec.kv_heads, group, n, spec.head_width})
                           .sum(2)  // [B, H_kv, n, Dh]
                           .transpose(1, 2)
                           .reshape({batch, n, spec.kv_heads * spec.head_width});
  if (w.output_bias.defined()) {
    add_bias_parts(state, at::matmul(state.gradient, w.output_bias));
    add_bias_parts(state, at::matmul(v, w.value_bias));
  }
  const at::Tensor normed = at::matmul(v, w.value);  // [B, n, D]
  state.gradient = state.gradient + normed * w.attention_gain / first_rows(run_.ln1_scale[l], n);
}

void add_bias_parts(AdjointState& state, const at::Tensor& parts) {
  const at::Tensor flat = parts.reshape({parts.size(0), -1});
  state.bias = state.bias + flat.sum(1);
  state.bias_absolute = state.bias_absolute + flat.abs().sum(1);
}

}  // namespace crossloom::eval
