// Hook points: places in the forward pass where a value can be read or replaced, by one mechanism.
// Names and meanings are circuit-tracer's (TransformerLens style).
//
//   r_l ─► ÷ s1, × g1 ─► attention ─(+ r_l)─► m ─► ÷ s2 ─► × g2 ─► MLP ─► o ─(+ m)─► r_{l+1}
//   resid_pre  ln1.scale    pattern     resid_mid  ln2.scale, ln2.normalized, mlp_in   mlp_out
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>

#include "common/tensor.h"

namespace crossloom::models {

/// S positions, D width, H heads.
enum class HookPoint : uint8_t {
  kResidPre,       // hook_resid_pre      [S, D]    residual entering the layer
  kLn1Scale,       // ln1.hook_scale      [S, 1]    denominator of the norm before attention
  kPattern,        // attn.hook_pattern   [H, S, S] post-softmax attention pattern
  kAttnOut,        // hook_attn_out       [S, D]    what attention adds
  kResidMid,       // hook_resid_mid      [S, D]    residual after attention
  kLn2Scale,       // ln2.hook_scale      [S, 1]    denominator of the norm before the MLP
  kMlpNormalized,  // ln2.hook_normalized [S, D]    divided by the denominator, gain not applied
  kMlpIn,          // mlp.hook_in         [S, D]    the MLP's true input
  kMlpOut,         // hook_mlp_out        [S, D]    what the MLP adds
  kResidFinal,  // hook_resid_post     [S, D]    residual leaving the last layer (layer = L − 1)
  kFinalScale,  // ln_final.hook_scale [S, 1]    denominator of the final norm (layer = L − 1)
  kCount
};

const char* hook_name(HookPoint point);
/// Accepts circuit-tracer's names ("hook_resid_mid", "mlp.hook_in", …) and the short ones of this
/// project's options ("resid_mid", "mlp_in", "mlp_out", "ln2_normalized"). Throws ConfigError.
HookPoint hook_from_name(const std::string& name);

/// The points a caller wants, and what to do there. `value` may be replaced (assigned); its shape
/// must stay. Points that are not asked for cost nothing.
class Hooks {
 public:
  using Function = std::function<void(HookPoint point, int64_t layer, at::Tensor& value)>;

  Hooks() = default;
  Hooks(std::initializer_list<HookPoint> points, Function function)
      : function_(std::move(function)) {
    for (const HookPoint point : points) {
      wanted_ |= bit(point);
    }
  }

  bool wants(HookPoint point) const { return (wanted_ & bit(point)) != 0; }
  void call(HookPoint point, int64_t layer, at::Tensor& value) const {
    if (wants(point)) {
      function_(point, layer, value);
    }
  }

 private:
  static uint32_t bit(HookPoint point) { return 1U << static_cast<uint32_t>(point); }
  uint32_t wanted_ = 0;
  Function function_;
};

}  // namespace crossloom::models
