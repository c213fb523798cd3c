#include "architectures/incremental.h"

#include "architectures/kernels/dense_codes.h"
#include "architectures/kernels/weight_pass.h"
#include "architectures/stored_weights.h"

namespace crossloom::architectures {

bool Incremental::runs_dense(const Codes& codes, int64_t features, int64_t target) {
  int64_t pairs = 0;  // coded entries, once per pair they take part in
  for (int64_t source = 0; source <= target; ++source) {
    pairs += codes[static_cast<size_t>(source)].count() * (target + 1 - source);
  }
  const auto cells = static_cast<double>(codes.front().tokens() * features * (target + 1));
  return static_cast<double>(pairs) > kDenseShare * cells;
}

void Incremental::add_writes(int64_t target, const Codes& codes, ColumnRange columns,
                             const at::Tensor& y_hat) const {
  if (!runs_dense(codes, shape().features, target)) {
    DecoderTopology::add_writes(target, codes, columns, y_hat);
    return;
  }
  at::Tensor running = at::zeros({y_hat.size(0), shape().features}, y_hat.options());  // [T, F]
  for (int64_t source = 0; source <= target; ++source) {
    const LayerCodes& layer = codes[static_cast<size_t>(source)];
    running.add_(kernels::densify(layer, layer.value, shape().features));
  }
  at::Tensor sum = y_hat;
  sum.addmm_(running, computed(columns.cut(weights(target))));
}

void Incremental::add_all_writes(const Codes& codes, ColumnRange columns,
                                 const std::vector<at::Tensor>& y_hat) const {
  if (!runs_dense(codes, shape().features, shape().layers - 1)) {
    DecoderTopology::add_all_writes(codes, columns, y_hat);
    return;
  }
  at::Tensor running = at::zeros({y_hat[0].size(0), shape().features}, y_hat[0].options());
  for (int64_t target = 0; target < shape().layers; ++target) {
    const LayerCodes& layer = codes[static_cast<size_t>(target)];
    running.add_(kernels::densify(layer, layer.value, shape().features));
    at::Tensor sum = y_hat[static_cast<size_t>(target)];
    sum.addmm_(running, computed(columns.cut(weights(target))));
  }
}

CodeGradients Incremental::decode_backward(const Codes& codes,
                                           const std::vector<at::Tensor>& y_grad,
                                           ColumnRange columns,
                                           const std::vector<at::Tensor>& norm_grad,
                                           ParameterSink& sink) const {
  check_call(codes, columns);
  const int64_t layers = shape().layers;
  if (!runs_dense(codes, shape().features, layers - 1)) {
    return DecoderTopology::decode_backward(codes, y_grad, columns, norm_grad, sink);
  }
  const at::TensorOptions options = y_grad[0].options();
  const std::vector<int64_t> sizes = {codes[0].tokens(), shape().features};
  CodeGradients gradients(codes.size());          // first: a finished weight may be updated at once
  at::Tensor suffix = at::zeros(sizes, options);  // Σ_{l' ≥ l} Δ^{l'} W_dec^{l'}ᵀ, [T, F]
  for (int64_t source = layers - 1; source >= 0; --source) {
    const auto l = static_cast<size_t>(source);
    suffix.addmm_(y_grad[l], computed(columns.cut(weights(source))).t());
    gradients[l] = kernels::gather_entries(codes[l], suffix);
  }
  at::Tensor running = at::zeros(sizes, options);  // s, [T, F]
  for (int64_t target = 0; target < layers; ++target) {
    const auto l = static_cast<size_t>(target);
    running.add_(kernels::densify(codes[l], codes[l].value, shape().features));
    GradientStretches* stretches = stretches_of(target, columns, sink);
    const at::Tensor weight_grad =
        stretches == nullptr ? sink.gradient(weight_number(target)) : at::Tensor();
    auto pass = start_pass(target, target, target, columns, norm_grad, stretches, weight_grad);
    pass.dense.push_back({running, y_grad[l]});
    kernels::run_weight_passes({pass});
    if (stretches == nullptr) {
      add_norm_gradients(norm_grad, columns, target, weight_grad);
    }
    sink.finished(weight_number(target));
  }
  return gradients;
}

}  // namespace crossloom::architectures
