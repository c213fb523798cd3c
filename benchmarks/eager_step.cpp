#include "benchmarks/eager_step.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

namespace crossloom::benchmarks {
namespace {

bool selects(const architectures::Registry::Row& row) {
  return row.activation == "topk" || row.activation == "batchtopk";
}

}  // namespace

EagerStep::EagerStep(const architectures::Transcoder& transcoder,
                     const trainer::TrainOptions& options)
    : row_(architectures::Registry::instance().row(options.transcoder.architecture)),
      options_(options),
      layers_(transcoder.shape().layers),
      ahead_(options.transcoder.window < 0 ? layers_ : options.transcoder.window) {
  for (const auto& parameter : transcoder.parameters()) {
    if (parameter.training == architectures::Training::kFixed) {
      continue;
    }
    if (parameter.value.dim() == 3) {  // fat rows: a user keeps a table per pair
      for (int64_t ahead = 0; ahead < parameter.value.size(1); ++ahead) {
        add(fmt::format("{}_ahead_{}", parameter.name, ahead), parameter.value.select(1, ahead));
      }
    } else {
      add(parameter.name, parameter.value);
    }
  }
}

void EagerStep::add(const std::string& name, const at::Tensor& value) {
  const at::Tensor copy = value.detach().clone(at::MemoryFormat::Contiguous);
  leaves_[name] = {copy.set_requires_grad(true),
                   at::zeros_like(value, at::MemoryFormat::Contiguous),
                   at::zeros_like(value, at::MemoryFormat::Contiguous)};
}

const at::Tensor& EagerStep::leaf(const std::string& name, int64_t layer) const {
  return leaves_.at(fmt::format("{}_{}", name, layer)).value;
}

const at::Tensor& EagerStep::pair_weights(int64_t source, int64_t target) const {
  if (row_.topology == "clt") {
    return leaves_.at(fmt::format("W_dec_{}_ahead_{}", source, target - source)).value;
  }
  return leaf("W_dec", row_.topology.starts_with("clt-source-tied") ? source : target);
}

EagerStep::Active EagerStep::activate(int64_t layer, const at::Tensor& h) const {
  if (row_.activation == "topk") {
    auto [value, index] = at::topk(at::relu(h), options_.transcoder.k, 1, true, false);
    return {.index = index, .value = value, .dense = {}};
  }
  if (row_.activation == "batchtopk") {
    const at::Tensor a = at::relu(h);
    const at::Tensor flat = a.flatten();
    const auto kept =
        std::get<1>(at::topk(flat, options_.transcoder.k * h.size(0), 0, true, false));
    const at::Tensor mask = at::zeros_like(flat).index_fill_(0, kept, 1.0).view_as(a);
    return {.index = {}, .value = {}, .dense = a * mask};
  }
  if (row_.activation == "relu") {
    return {.index = {}, .value = {}, .dense = at::relu(h)};
  }
  const at::Tensor& t = leaf("log_threshold", layer);
  const at::Tensor theta = t.detach().exp();
  const double epsilon = options_.transcoder.jumprelu.bandwidth;
  const at::Tensor fixed = h.detach();
  const at::Tensor band = (fixed - theta).abs().lt(0.5 * epsilon).to(h.scalar_type());
  return {.index = {},
          .value = {},
          .dense = h * fixed.gt(theta).to(h.scalar_type()) -
                   band * (theta * theta / epsilon) * (t - t.detach())};
}

/// Values (or the matrix) after the pair's affine map, where there is one.
at::Tensor EagerStep::mapped(int64_t source, int64_t target, const Active& active) const {
  if (!row_.topology.ends_with("-affine")) {
    return active.value.defined() ? active.value : active.dense;
  }
  const at::Tensor scale = leaf("affine_scale", source).select(0, target - source);
  const at::Tensor shift = leaf("affine_shift", source).select(0, target - source);
  const auto at_codes = [&](const at::Tensor& per_feature) {
    return per_feature.index_select(0, active.index.flatten()).view_as(active.index);
  };
  return (active.value + at_codes(shift)) * at_codes(scale) *
         active.value.detach().gt(0).to(active.value.scalar_type());
}

at::Tensor EagerStep::written(int64_t source, int64_t target, const Active& active) const {
  const at::Tensor value = mapped(source, target, active);
  const at::Tensor& table = pair_weights(source, target);
  if (!active.index.defined()) {
    return at::mm(value, table);
  }
  const int64_t tokens = active.index.size(0);
  const int64_t kept = active.index.size(1);
  const at::Tensor offsets = at::arange(0, tokens * kept, kept, active.index.options());
  constexpr int64_t kSum = 0;
  return std::get<0>(at::embedding_bag(table, active.index.flatten(), offsets,
                                       /*scale_grad_by_freq=*/false, kSum, /*sparse=*/false,
                                       value.flatten()));
}

at::Tensor EagerStep::reconstruct(int64_t target, const std::vector<Active>& active,
                                  const at::Tensor& x, std::vector<at::Tensor>& own_writes) const {
  at::Tensor y_hat = leaf("b_dec", target).expand_as(x);
  if (row_.topology == "clt-source-tied") {  // what a source writes is the same for every target
    own_writes.push_back(written(target, target, active[static_cast<size_t>(target)]));
    for (const at::Tensor& part : own_writes) {
      y_hat = y_hat + part;
    }
  } else {
    const int64_t first = row_.topology == "plt"   ? target
                          : row_.topology == "clt" ? std::max<int64_t>(0, target - ahead_)
                                                   : 0;
    for (int64_t source = first; source <= target; ++source) {
      y_hat = y_hat + written(source, target, active[static_cast<size_t>(source)]);
    }
  }
  return row_.skip ? y_hat + at::linear(x, leaf("W_skip", target)) : y_hat;
}

/// λ/T Σ tanh(c n a), n the norm of a feature's concatenated decoder vectors.
at::Tensor EagerStep::penalty(int64_t layer, const Active& active) const {
  at::Tensor squares = at::zeros({active.dense.size(1)}, active.dense.options());
  for (int64_t target = layer; target < layers_; ++target) {
    const bool writes = row_.topology != "plt" || target == layer;
    const bool reaches = row_.topology != "clt" || target - layer <= ahead_;
    if (writes && reaches) {
      squares = squares + pair_weights(layer, target).square().sum(1);
    }
  }
  const double weight = options_.sparsity.weight / static_cast<double>(active.dense.size(0));
  return at::tanh(active.dense * squares.sqrt() * options_.sparsity.scale).sum() * weight;
}

double EagerStep::run(const std::vector<at::Tensor>& x, const std::vector<at::Tensor>& y,
                      int64_t step) {
  for (auto& [name, leaf] : leaves_) {
    leaf.value.mutable_grad() = at::Tensor();
  }
  std::vector<Active> active;
  at::Tensor loss = at::zeros({}, x.front().options());
  for (int64_t l = 0; l < layers_; ++l) {
    const auto i = static_cast<size_t>(l);
    active.push_back(activate(l, at::linear(x[i], leaf("W_enc", l), leaf("b_enc", l))));
    if (!selects(row_) && options_.sparsity.weight > 0.0) {
      loss = loss + penalty(l, active.back());
    }
  }
  std::vector<at::Tensor> own_writes;
  for (int64_t l = 0; l < layers_; ++l) {
    const auto i = static_cast<size_t>(l);
    const at::Tensor error = y[i] - reconstruct(l, active, x[i], own_writes);
    loss = loss + error.square().sum() / (y[i] - y[i].mean(0)).square().sum();
  }
  loss.backward();
  adam(step);
  return loss.item<double>();
}

void EagerStep::adam(int64_t step) {
  const at::NoGradGuard no_grad;
  const auto& o = options_.adam;
  const double t = static_cast<double>(step);
  const double correction1 = 1.0 - std::pow(o.beta1, t);
  const double correction2 = std::sqrt(1.0 - std::pow(o.beta2, t));
  for (auto& [name, leaf] : leaves_) {
    const at::Tensor& g = leaf.value.grad();
    if (!g.defined()) {
      continue;
    }
    leaf.m.lerp_(g, 1.0 - o.beta1);
    leaf.v.mul_(o.beta2).addcmul_(g, g, 1.0 - o.beta2);
    leaf.value.addcdiv_(leaf.m, (leaf.v.sqrt() / correction2).add_(o.epsilon),
                        -o.learning_rate / correction1);
  }
}

}  // namespace crossloom::benchmarks
