// The autograd oracle: the same function of the same parameters, dense and obvious.
#include <algorithm>
#include <stdexcept>

#include "tests/architectures/staged_step.h"

namespace crossloom::architectures::test {
namespace {

using Named = std::vector<std::pair<std::string, at::Tensor>>;

/// Leaf copies in float64 that collect gradients.
Named leaves_of(const Transcoder& transcoder) {
  Named leaves;
  for (const Parameter& parameter : transcoder.parameters()) {
    const at::Tensor leaf = parameter.value.detach().to(at::kDouble, false, true);
    leaves.emplace_back(parameter.name, leaf.set_requires_grad(true));
  }
  return leaves;
}

const at::Tensor& named(const Named& leaves, const std::string& name, size_t layer) {
  const std::string full = name + "_" + std::to_string(layer);
  for (const auto& [leaf_name, leaf] : leaves) {
    if (leaf_name == full) {
      return leaf;
    }
  }
  throw std::runtime_error("the oracle misses parameter " + full);
}

/// 1 at the `count` largest entries along `dim` of h, else 0.
at::Tensor top_mask(const at::Tensor& h, int64_t count, int64_t dim) {
  const auto kept = std::get<1>(at::topk(h, count, dim));
  return at::zeros_like(h).scatter_(dim, kept, 1.0);
}

/// An expression whose value is JumpReLU's and whose derivatives are the surrogates: terms of value
/// 0 carry them.
at::Tensor jumprelu(const JumpReluOptions& options, const at::Tensor& t, const at::Tensor& h) {
  const at::Tensor fixed = h.detach();
  const at::Tensor theta = t.detach().exp();
  const at::Tensor active = fixed.gt(theta);
  const at::Tensor passes = options.input_gradient == "masked"     ? active
                            : options.input_gradient == "positive" ? fixed.ge(0.0)
                                                                   : at::ones_like(active);
  const double epsilon = options.bandwidth;
  const at::Tensor band = ((fixed - theta) / epsilon).abs().lt(0.5).to(at::kDouble);
  const at::Tensor height = options.threshold_gradient == "pre" ? fixed : theta;
  // ∂a/∂θ = −(height/ε)·band and ∂θ/∂t = θ.
  return fixed * active + (h - fixed) * passes -
         band * (height / epsilon) * theta * (t - t.detach());
}

/// h [T, F] → a [T, F].
at::Tensor activate(const Registry::Row& row, const TranscoderOptions& options, const Named& leaves,
                    size_t layer, const at::Tensor& h) {
  const at::Tensor fixed = h.detach();
  if (row.activation == "topk") {
    return at::relu(h) * top_mask(fixed, options.k, 1);
  }
  if (row.activation == "batchtopk") {
    return at::relu(h) * top_mask(fixed.reshape({-1}), options.k * h.size(0), 0).view(h.sizes());
  }
  if (row.activation == "relu") {
    return at::relu(h);
  }
  if (row.activation == "jumprelu") {
    return jumprelu(options.jumprelu, named(leaves, "log_threshold", layer), h);
  }
  throw std::runtime_error("teach the oracle the activation " + row.activation);
}

/// What source writes to target with: [F, D], undefined when it does not.
at::Tensor pair_table(const Registry::Row& row, const Named& leaves, size_t source, size_t target) {
  if (row.topology == "plt") {
    return source == target ? named(leaves, "W_dec", target) : at::Tensor();
  }
  if (row.topology == "clt") {
    const at::Tensor& fat_rows = named(leaves, "W_dec", source);
    const auto offset = static_cast<int64_t>(target - source);
    return offset < fat_rows.size(1) ? fat_rows.select(1, offset) : at::Tensor();
  }
  if (row.topology == "clt-incremental" || row.topology == "clt-incremental-affine") {
    return named(leaves, "W_dec", target);
  }
  if (row.topology == "clt-source-tied" || row.topology == "clt-source-tied-affine") {
    return named(leaves, "W_dec", source);
  }
  throw std::runtime_error("teach the oracle the topology " + row.topology);
}

/// What of a [T, F] reaches the pair's table.
at::Tensor passed(const Registry::Row& row, const Named& leaves, size_t source, size_t target,
                  const at::Tensor& a) {
  if (!row.topology.ends_with("-affine")) {
    return a;
  }
  const auto ahead = static_cast<int64_t>(target - source);
  const at::Tensor scale = named(leaves, "affine_scale", source).select(0, ahead);
  const at::Tensor shift = named(leaves, "affine_shift", source).select(0, ahead);
  return (a + shift) * scale * a.detach().gt(0.0).to(at::kDouble);
}

/// a [L] of [T, F] → what features write to `target` [T, D].
at::Tensor feature_writes(const Registry::Row& row, const Named& leaves,
                          const std::vector<at::Tensor>& a, size_t target) {
  at::Tensor sum = at::zeros({1}, at::kDouble);
  for (size_t source = 0; source <= target; ++source) {
    const at::Tensor table = pair_table(row, leaves, source, target);
    if (table.defined()) {
      sum = sum + at::mm(passed(row, leaves, source, target, a[source]), table);
    }
  }
  return sum;
}

/// a [L] of [T, F] → reconstruction of `target` [T, D].
at::Tensor reconstruct(const Registry::Row& row, const Named& leaves,
                       const std::vector<at::Tensor>& a, const at::Tensor& x, size_t target) {
  const at::Tensor y_hat = named(leaves, "b_dec", target) + feature_writes(row, leaves, a, target);
  return row.skip ? y_hat + at::mm(x, named(leaves, "W_skip", target).t()) : y_hat;
}

/// Pre-activations of one layer in float64.
at::Tensor pre_activations(const Named& leaves, size_t layer, const at::Tensor& x) {
  return at::mm(x.to(at::kDouble), named(leaves, "W_enc", layer).t()) +
         named(leaves, "b_enc", layer);
}

/// After loss.backward(); zeros where the loss does not depend on a parameter.
std::vector<at::Tensor> gradients_of(const Named& leaves) {
  std::vector<at::Tensor> gradients;
  for (const auto& leaf : leaves) {
    const at::Tensor& gradient = leaf.second.grad();
    gradients.push_back(gradient.defined() ? gradient : at::zeros_like(leaf.second));
  }
  return gradients;
}

/// Norm of the concatenation of every feature's decoder vectors, [F].
at::Tensor norms(const Registry::Row& row, const Named& leaves, size_t source, size_t layers) {
  at::Tensor squares = at::zeros_like(named(leaves, "b_enc", source).detach());
  for (size_t target = source; target < layers; ++target) {
    const at::Tensor table = pair_table(row, leaves, source, target);
    if (table.defined()) {
      squares = squares + table.square().sum(1);
    }
  }
  return squares.sqrt();
}

/// λ/T Σ tanh(c n a) + Σ over silent entries of w (θ − h), w from n, of one layer.
at::Tensor penalties(const Registry::Row& row, const Named& leaves, size_t layer, size_t layers,
                     const at::Tensor& h, const at::Tensor& a, const Terms& terms) {
  const at::Tensor n = norms(row, leaves, layer, layers);
  const at::Tensor used = terms.through_norms ? n : n.detach();
  at::Tensor sum = terms.sparsity_weight * at::tanh(terms.sparsity_scale * used * a).sum();
  const at::Tensor silent = a.detach().le(0.0).to(at::kDouble);
  at::Tensor bar = at::zeros_like(n.detach());
  if (row.activation == "jumprelu") {
    bar = named(leaves, "log_threshold", layer).exp();
  }
  const at::Tensor weights = !terms.pull_by_norms       ? at::ones_like(n)
                             : terms.pull_through_norms ? n
                                                        : n.detach();
  return sum + (terms.pull(h.size(1)) * weights * (bar - h) * silent).sum();
}

}  // namespace

StepResult oracle_step(const Registry::Row& row, const Transcoder& transcoder,
                       const std::vector<at::Tensor>& x, const std::vector<at::Tensor>& y,
                       const Terms& terms) {
  const Named leaves = leaves_of(transcoder);
  std::vector<at::Tensor> a;
  std::vector<at::Tensor> inputs;
  at::Tensor loss = at::zeros({}, at::kDouble);
  for (size_t l = 0; l < x.size(); ++l) {
    inputs.push_back(x[l].to(at::kDouble));
    const at::Tensor h = pre_activations(leaves, l, x[l]);
    a.push_back(activate(row, transcoder.options(), leaves, l, h));
    a.back().retain_grad();
    loss = loss + penalties(row, leaves, l, x.size(), h, a.back(), terms);
  }
  StepResult result;
  for (size_t l = 0; l < y.size(); ++l) {
    const at::Tensor target = y[l].to(at::kDouble);
    const at::Tensor y_hat = reconstruct(row, leaves, a, inputs[l], l);
    const at::Tensor energy = (target - target.mean(0)).square().sum();
    loss = loss + (target - y_hat).square().sum() / energy;
    result.y_hat.push_back(y_hat.detach());
  }
  loss.backward();
  result.loss = loss.item<double>();
  result.gradients = gradients_of(leaves);
  for (const at::Tensor& activation : a) {
    result.value_grad.push_back(activation.grad());  // dense [T, F]
  }
  return result;
}

StepResult oracle_auxk(const Registry::Row& row, const Transcoder& transcoder, const AuxKTerm& term,
                       const std::vector<at::Tensor>& x, const std::vector<at::Tensor>& y,
                       const std::vector<at::Tensor>& y_hat) {
  const Named leaves = leaves_of(transcoder);
  std::vector<at::Tensor> a;
  for (size_t l = 0; l < x.size(); ++l) {
    const at::Tensor& dead = term.dead[static_cast<int64_t>(l)];
    const int64_t kept = std::min(term.kept, dead.sum().item<int64_t>());
    const at::Tensor h = pre_activations(leaves, l, x[l]) * dead;
    a.push_back(at::relu(h) * top_mask(h.detach().masked_fill(dead.logical_not(), -1e9), kept, 1));
  }
  at::Tensor loss = at::zeros({}, at::kDouble);
  for (size_t l = 0; l < x.size(); ++l) {
    const at::Tensor e_hat = feature_writes(row, leaves, a, l);
    loss = loss + term.weights[l] * (e_hat - (y[l] - y_hat[l]).detach()).square().sum();
  }
  loss.backward();
  StepResult result;
  result.loss = loss.item<double>();
  result.gradients = gradients_of(leaves);
  return result;
}

}  // namespace crossloom::architectures::test
