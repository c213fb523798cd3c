#include "architectures/screened_activation.h"

#include <utility>

#include "architectures/kernels/estimates.h"
#include "architectures/kernels/ranges.h"

namespace crossloom::architectures {

std::optional<Candidates> ScreenedActivation::try_screen(const EncoderProduct& product,
                                                         Watch watch) const {
  if (!kernels::screening_pays(product.x.size(0), product.weight)) {
    return std::nullopt;
  }
  auto candidates = screened({.x = product.x.contiguous(),
                              .weight = product.weight,
                              .bias = product.bias,
                              .first_feature = product.first_feature},
                             watch);
  if (candidates) {
    candidates->index.add_(product.first_feature);
  }
  return candidates;
}

Candidates ScreenedActivation::propose_from(int64_t layer, const EncoderProduct& product,
                                            Watch watch) const {
  auto candidates = try_screen(product, watch);
  return candidates ? std::move(*candidates) : Activation::propose_from(layer, product, watch);
}

std::vector<Candidates> ScreenedActivation::propose_all(const std::vector<EncoderProduct>& layers,
                                                        Watch watch) const {
  if (layers.empty()) {
    return {};
  }
  const EncoderProduct& first = layers.front();
  if (kernels::layers_at_once(std::ssize(layers), first.x.size(0), first.x.size(1),
                              first.weight.size(0)) == 1) {
    return Activation::propose_all(layers, watch);
  }
  std::vector<std::optional<Candidates>> found(layers.size());
  kernels::deal(std::ssize(layers), [&](int64_t layer) {
    found[static_cast<size_t>(layer)] = try_screen(layers[static_cast<size_t>(layer)], watch);
  });
  std::vector<Candidates> candidates;
  for (size_t l = 0; l < layers.size(); ++l) {
    candidates.push_back(found[l]
                             ? std::move(*found[l])
                             : Activation::propose_from(static_cast<int64_t>(l), layers[l], watch));
  }
  return candidates;
}

}  // namespace crossloom::architectures
