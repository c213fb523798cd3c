#include "data/normalizer.h"

#include <cmath>

namespace crossloom::data {
namespace {

std::vector<double> scales(const SideStatistics& side, const char* name) {
  std::vector<double> result;
  for (size_t layer = 0; layer < side.mean_norm.size(); ++layer) {
    const double sigma = side.mean_norm[layer] / std::sqrt(double(side.width));
    if (!(sigma > 0.0) || !std::isfinite(sigma)) {
      throw DataError({.what = fmt::format("The {} of layer {} cannot be normalised", name, layer),
                       .expected = "a positive mean norm",
                       .got = fmt::format("{}", side.mean_norm[layer]),
                       .where = "the shards' statistics",
                       .hint = "Are these activations of a real model?"});
    }
    result.push_back(sigma);
  }
  return result;
}

/// into = source / sigma, computed in into's type.
void divide(const at::Tensor& source, double sigma, at::Tensor& into) {
  into.resize_(source.sizes());
  into.copy_(source);
  into.mul_(1.0 / sigma);
}

}  // namespace

Normalizer::Normalizer(const NormStatistics& statistics)
    : sigma_in_(scales(statistics.inputs, "inputs")),
      sigma_out_(scales(statistics.targets, "targets")) {}

void Normalizer::normalize_input(int64_t layer, const at::Tensor& x, at::Tensor& into) const {
  divide(x, sigma_in_.at(size_t(layer)), into);
}

void Normalizer::normalize_target(int64_t layer, const at::Tensor& y, at::Tensor& into) const {
  divide(y, sigma_out_.at(size_t(layer)), into);
}

at::Tensor Normalizer::restore_target(int64_t layer, const at::Tensor& y) const {
  return y * sigma_out_.at(size_t(layer));
}

at::Tensor Normalizer::fold_encoder(int64_t layer, const at::Tensor& w_enc) const {
  return w_enc / sigma_in_.at(size_t(layer));
}

at::Tensor Normalizer::fold_decoder(int64_t first_target, const at::Tensor& w_dec) const {
  check_shape(w_dec, {-1, -1, -1}, "W_dec");
  at::Tensor folded = w_dec.clone();
  for (int64_t j = 0; j < folded.size(1); ++j) {
    folded.select(1, j).mul_(sigma_out_.at(size_t(first_target + j)));
  }
  return folded;
}

at::Tensor Normalizer::fold_decoder_bias(int64_t layer, const at::Tensor& b_dec) const {
  return b_dec * sigma_out_.at(size_t(layer));
}

at::Tensor Normalizer::fold_skip(int64_t layer, const at::Tensor& w_skip) const {
  return w_skip * (sigma_out_.at(size_t(layer)) / sigma_in_.at(size_t(layer)));
}

}  // namespace crossloom::data
