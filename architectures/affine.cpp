#include "architectures/affine.h"

#include "architectures/kernels/decode.h"
#include "architectures/kernels/weight_pass.h"
#include "architectures/stored_weights.h"

namespace crossloom::architectures {

AffineTied::AffineTied(const TranscoderShape& shape, at::ScalarType type, Tie tie)
    : DecoderTopology(shape, type, rows_per_layer(shape)), tie_(tie) {
  for (int64_t source = 0; source < shape.layers; ++source) {
    const std::vector<int64_t> sizes = {shape.layers - source, shape.features};
    const at::Tensor scale = at::zeros(sizes, computed_type(type));
    scale.select(0, 0).fill_(1.0);
    add_parameter({fmt::format("affine_scale_{}", source), scale, ShardRule::kReplicated});
    add_parameter(
        {fmt::format("affine_shift_{}", source), at::zeros_like(scale), ShardRule::kReplicated});
  }
}

std::string AffineTied::describe() const {
  const char* layer = tie_ == Tie::kTarget ? "l'" : "l";
  return fmt::format(
      "ŷ[l'] = b_dec[l'] + Σ_{{l ≤ l'}} W_dec[{}] ((a[l] + shift[l, l'−l]) · scale[l, l'−l]) where "
      "a > 0; W_dec_l [F, D], affine_scale_l and affine_shift_l [L − l, F]",
      layer);
}

size_t AffineTied::scale_number(int64_t source) const {
  return static_cast<size_t>(2 * shape().layers + 2 * source);
}

at::Tensor AffineTied::at_codes(size_t parameter, int64_t ahead, const at::Tensor& index) const {
  return parameters()[parameter].value.select(0, ahead).index_select(0, index);
}

LayerCodes AffineTied::mapped(const LayerCodes& codes, int64_t source, int64_t target) const {
  const at::Tensor scale = at_codes(scale_number(source), target - source, codes.index);
  const at::Tensor shift = at_codes(shift_number(source), target - source, codes.index);
  return {.offsets = codes.offsets,
          .index = codes.index,
          .value = (codes.value + shift) * scale * codes.value.gt(0)};
}

void AffineTied::add_writes(int64_t target, const Codes& codes, ColumnRange columns,
                            const at::Tensor& y_hat) const {
  const Codes written = mapped_to(target, codes);
  kernels::run_decode({writes_of(target, written, columns, y_hat)});
}

void AffineTied::add_all_writes(const Codes& codes, ColumnRange columns,
                                const std::vector<at::Tensor>& y_hat) const {
  std::vector<Codes> written;  // all of them before any is pointed to
  for (int64_t target = 0; target < shape().layers; ++target) {
    written.push_back(mapped_to(target, codes));
  }
  std::vector<kernels::DecodeTarget> targets;
  for (int64_t target = 0; target < shape().layers; ++target) {
    const auto l = static_cast<size_t>(target);
    targets.push_back(writes_of(target, written[l], columns, y_hat[l]));
  }
  kernels::run_decode(targets);
}

Codes AffineTied::mapped_to(int64_t target, const Codes& codes) const {
  Codes written;
  for (int64_t source = 0; source <= target; ++source) {
    written.push_back(mapped(codes[static_cast<size_t>(source)], source, target));
  }
  return written;
}

kernels::DecodeTarget AffineTied::writes_of(int64_t target, const Codes& written,
                                            ColumnRange columns, const at::Tensor& y_hat) const {
  kernels::DecodeTarget decode{.y = y_hat};
  for (int64_t source = 0; source <= target; ++source) {
    decode.writes.push_back(
        {&written[static_cast<size_t>(source)], columns.cut(weights(owner(source, target)))});
  }
  return decode;
}

CodeGradients AffineTied::decode_backward(const Codes& codes, const std::vector<at::Tensor>& y_grad,
                                          ColumnRange columns,
                                          const std::vector<at::Tensor>& norm_grad,
                                          ParameterSink& sink) const {
  check_call(codes, columns);
  CROSSLOOM_CHECK(y_grad.size() == codes.size(), "{} layers of y_grad", y_grad.size());
  CodeGradients gradients;
  for (const LayerCodes& layer : codes) {
    gradients.push_back(at::zeros_like(layer.value));
  }
  for (int64_t layer = 0; layer < shape().layers; ++layer) {
    table_backward(layer, codes, y_grad, columns, norm_grad, gradients, sink);
  }
  for (int64_t layer = 0; layer < shape().layers; ++layer) {  // no pair needs old values any more
    sink.finished(scale_number(layer));
    sink.finished(shift_number(layer));
    sink.finished(weight_number(layer));
  }
  return gradients;
}

std::vector<AffineTied::Pair> AffineTied::pairs_of(int64_t layer, const Codes& codes) const {
  std::vector<Pair> pairs;
  for (int64_t source = 0; source < shape().layers; ++source) {
    for (int64_t target = source; target < shape().layers; ++target) {
      if (owner(source, target) == layer) {
        const LayerCodes written = mapped(codes[static_cast<size_t>(source)], source, target);
        pairs.push_back(
            {.source = source,
             .target = target,
             .lists = kernels::group_by_feature(written, written.value, shape().features),
             .reach = at::zeros_like(written.value)});
      }
    }
  }
  return pairs;
}

void AffineTied::table_backward(int64_t layer, const Codes& codes,
                                const std::vector<at::Tensor>& y_grad, ColumnRange columns,
                                const std::vector<at::Tensor>& norm_grad,
                                const CodeGradients& value_grad, ParameterSink& sink) const {
  const std::vector<Pair> pairs = pairs_of(layer, codes);
  GradientStretches* stretches = stretches_of(layer, columns, sink);
  const at::Tensor weight_grad =
      stretches == nullptr ? sink.gradient(weight_number(layer)) : at::Tensor();
  auto pass = start_pass(layer, layer, layer, columns, norm_grad, stretches, weight_grad);
  for (const Pair& pair : pairs) {
    pass.sparse.push_back({&pair.lists, y_grad[static_cast<size_t>(pair.target)], pair.reach});
  }
  kernels::run_weight_passes({pass});
  if (stretches == nullptr) {
    add_norm_gradients(norm_grad, columns, layer, weight_grad);
  }
  for (const Pair& pair : pairs) {
    const auto source = static_cast<size_t>(pair.source);
    map_backward(pair, codes[source], value_grad[source], sink);
  }
}

void AffineTied::map_backward(const Pair& pair, const LayerCodes& codes,
                              const at::Tensor& value_grad, ParameterSink& sink) const {
  const int64_t ahead = pair.target - pair.source;
  const at::Tensor reach = at::empty_like(pair.reach).index_copy_(0, pair.lists.entry, pair.reach);
  const at::Tensor scale = at_codes(scale_number(pair.source), ahead, codes.index);
  const at::Tensor shift = at_codes(shift_number(pair.source), ahead, codes.index);
  const at::Tensor scaled = reach * scale;
  at::Tensor(value_grad).add_(scaled);
  const at::Tensor active = codes.value.gt(0);
  const auto add_sums = [&](size_t parameter, const at::Tensor& per_code) {
    kernels::add_weight_sums(codes, per_code * active, sink.gradient(parameter).select(0, ahead));
  };
  add_sums(scale_number(pair.source), reach * (codes.value + shift));
  add_sums(shift_number(pair.source), scaled);
}

at::Tensor AffineTied::written_rows(int64_t source, int64_t target, const at::Tensor& index,
                                    const at::Tensor& value) const {
  if (target < source) {
    return {};
  }
  const at::Tensor scale = at_codes(scale_number(source), target - source, index);
  const at::Tensor shift = at_codes(shift_number(source), target - source, index);
  const at::Tensor per_unit = scale * (value.defined() ? 1.0 + shift / value : 1.0 + shift);
  return computed(weights(owner(source, target)).index_select(0, index)) * per_unit.unsqueeze(1);
}

}  // namespace crossloom::architectures
