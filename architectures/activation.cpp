#include "architectures/activation.h"

#include "architectures/stored_weights.h"

namespace crossloom::architectures {

const std::vector<Parameter>& Activation::parameters() const {
  static const std::vector<Parameter> none;
  return none;
}

at::Tensor EncoderProduct::pre_activations() const {
  return at::addmm(bias, x, computed(weight).t());
}

Candidates Activation::propose_from(int64_t layer, const EncoderProduct& product,
                                    Watch watch) const {
  return propose(layer, product.pre_activations(), product.first_feature, watch);
}

std::vector<Candidates> Activation::propose_all(const std::vector<EncoderProduct>& layers,
                                                Watch watch) const {
  std::vector<Candidates> candidates;
  for (const EncoderProduct& product : layers) {
    candidates.push_back(propose_from(std::ssize(candidates), product, watch));
  }
  return candidates;
}

LayerCodes Activation::filter(int64_t /*layer*/, const Candidates& merged,
                              std::optional<double> /*bar*/) const {
  return merged;
}

at::Tensor Activation::backward(int64_t /*layer*/, const LayerCodes& /*codes*/,
                                const at::Tensor& value_grad, const at::Tensor& /*silent_grad*/,
                                ParameterSink& /*sink*/) const {
  return value_grad;
}

at::Tensor Activation::thresholds(int64_t /*layer*/) const {
  return {};
}

void Activation::set_kept(int64_t /*k*/) {
  throw ConfigError({.what = "this activation has no K to anneal",
                     .expected = "a TopK or BatchTopK architecture",
                     .got = describe(),
                     .where = "k_start",
                     .hint = "leave k_start at 0"});
}

}  // namespace crossloom::architectures
