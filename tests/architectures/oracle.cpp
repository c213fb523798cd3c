// The autograd oracle: the same function of the same parameters, dense and obvious.
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

/// h [T, F] → a [T, F].
at::Tensor activate(const Registry::Row& row, const TranscoderOptions& options,
                    const at::Tensor& h) {
  if (row.activation == "topk") {
    const auto kept = std::get<1>(at::topk(h.detach(), options.k, 1));
    const at::Tensor mask = at::zeros_like(h.detach()).scatter_(1, kept, 1.0);
    return at::relu(h) * mask;
  }
  throw std::runtime_error("teach the oracle the activation " + row.activation);
}

/// a [L] of [T, F] → reconstruction of `target` [T, D].
at::Tensor reconstruct(const Registry::Row& row, const Named& leaves,
                       const std::vector<at::Tensor>& a, size_t target) {
  at::Tensor y_hat = named(leaves, "b_dec", target).expand({a[target].size(0), -1});
  if (row.topology == "plt") {
    return y_hat + at::mm(a[target], named(leaves, "W_dec", target));
  }
  if (row.topology == "clt") {
    for (size_t source = 0; source <= target; ++source) {
      const auto offset = static_cast<int64_t>(target - source);
      y_hat = y_hat + at::mm(a[source], named(leaves, "W_dec", source).select(1, offset));
    }
    return y_hat;
  }
  throw std::runtime_error("teach the oracle the topology " + row.topology);
}

}  // namespace

StepResult oracle_step(const Registry::Row& row, const Transcoder& transcoder,
                       const std::vector<at::Tensor>& x, const std::vector<at::Tensor>& y) {
  if (row.skip) {
    throw std::runtime_error("teach the oracle the skip");
  }
  const Named leaves = leaves_of(transcoder);
  std::vector<at::Tensor> a;
  for (size_t l = 0; l < x.size(); ++l) {
    const at::Tensor h =
        at::mm(x[l].to(at::kDouble), named(leaves, "W_enc", l).t()) + named(leaves, "b_enc", l);
    a.push_back(activate(row, transcoder.options(), h));
    a.back().retain_grad();
  }
  StepResult result;
  at::Tensor loss = at::zeros({}, at::kDouble);
  for (size_t l = 0; l < y.size(); ++l) {
    const at::Tensor target = y[l].to(at::kDouble);
    const at::Tensor y_hat = reconstruct(row, leaves, a, l);
    const at::Tensor energy = (target - target.mean(0)).square().sum();
    loss = loss + (target - y_hat).square().sum() / energy;
    result.y_hat.push_back(y_hat.detach());
  }
  loss.backward();
  result.loss = loss.item<double>();
  for (const auto& leaf : leaves) {
    const at::Tensor& gradient = leaf.second.grad();
    result.gradients.push_back(gradient.defined() ? gradient : at::zeros_like(leaf.second));
  }
  for (const at::Tensor& activation : a) {
    result.value_grad.push_back(activation.grad());  // dense [T, F]
  }
  return result;
}

}  // namespace crossloom::architectures::test
