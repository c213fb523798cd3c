#include "models/frozen.h"

namespace crossloom::models {
namespace {

constexpr ForwardOptions kLastLogits{.logits = ForwardOptions::Logits::kLast, .cache = nullptr};

void require_feature_input(HookPoint input) {
  if (input != HookPoint::kResidMid && input != HookPoint::kMlpNormalized &&
      input != HookPoint::kMlpIn) {
    throw ConfigError({.what = "Features cannot read at this hook point",
                       .expected = "hook_resid_mid, ln2.hook_normalized or mlp.hook_in",
                       .got = hook_name(input),
                       .where = "input hook",
                       .hint = "Use the hook the transcoder was trained on."});
  }
}

}  // namespace

FrozenRun record_frozen_run(const Transformer& model, const at::Tensor& tokens, HookPoint input) {
  require_feature_input(input);
  FrozenRun run;
  run.tokens = tokens;
  run.input = input;
  const auto type = model.residual_type();
  const auto keep = [&](HookPoint point, int64_t layer, at::Tensor& value) {
    switch (point) {
      case HookPoint::kResidPre:
        if (layer == 0) {
          run.embedding = value.to(type);
        }
        break;
      case HookPoint::kPattern:
        run.pattern.push_back(value.to(type));
        break;
      case HookPoint::kLn1Scale:
        run.ln1_scale.push_back(value.to(type));
        break;
      case HookPoint::kLn2Scale:
        run.ln2_scale.push_back(value.to(type));
        break;
      case HookPoint::kMlpOut:
        run.mlp_out.push_back(value.to(type));
        break;
      case HookPoint::kFinalScale:
        run.final_scale = value.to(type);
        break;
      default:
        break;
    }
    if (point == input) {
      run.feature_input.push_back(value.to(type));
    }
  };
  const Hooks hooks({HookPoint::kResidPre, HookPoint::kPattern, HookPoint::kLn1Scale,
                     HookPoint::kLn2Scale, HookPoint::kMlpOut, HookPoint::kFinalScale, input},
                    keep);
  run.logits = model.forward(tokens, hooks, kLastLogits)[0];
  return run;
}

FrozenOutputs frozen_forward(const Transformer& model, const FrozenRun& run,
                             const at::Tensor& embedding, const std::vector<at::Tensor>& mlp_out,
                             const std::vector<at::Tensor>& linear_paths) {
  FrozenOutputs outputs;
  const auto linear = [&](size_t l) {  // [S, D], row 0 is 0
    const at::Tensor path = at::matmul(outputs.feature_input[l], linear_paths[l].t());
    return at::cat({at::zeros_like(path.narrow(0, 0, 1)), path.narrow(0, 1, path.size(0) - 1)});
  };
  const auto put_back = [&](HookPoint point, int64_t layer, at::Tensor& value) {
    const auto l = static_cast<size_t>(layer);
    switch (point) {
      case HookPoint::kResidPre:
        value = layer == 0 ? embedding : value;
        break;
      case HookPoint::kPattern:
        value = run.pattern[l];
        break;
      case HookPoint::kLn1Scale:
        value = run.ln1_scale[l];
        break;
      case HookPoint::kLn2Scale:
        value = run.ln2_scale[l];
        break;
      case HookPoint::kMlpOut:
        value = linear_paths.empty() ? mlp_out[l] : mlp_out[l] + linear(l);
        break;
      case HookPoint::kFinalScale:
        value = run.final_scale;
        break;
      default:
        break;
    }
    if (point == run.input) {
      outputs.feature_input.push_back(value);
    }
  };
  const Hooks hooks({HookPoint::kResidPre, HookPoint::kPattern, HookPoint::kLn1Scale,
                     HookPoint::kLn2Scale, HookPoint::kMlpOut, HookPoint::kFinalScale, run.input},
                    put_back);
  outputs.logits = model.forward(run.tokens, hooks, kLastLogits)[0];
  return outputs;
}

}  // namespace crossloom::models
