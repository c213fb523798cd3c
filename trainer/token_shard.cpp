#include "trainer/token_shard.h"

#include <algorithm>

#include "architectures/losses.h"
#include "architectures/matryoshka.h"
#include "architectures/pre_activation_loss.h"
#include "architectures/sparsity.h"
#include "trainer/gradient_sink.h"

namespace crossloom::trainer {

using architectures::CodeGradients;
using architectures::ParameterSink;
using architectures::Transcoder;

TokenShard::TokenShard(const architectures::TranscoderShape& shape, int64_t tokens,
                       const at::TensorOptions& options)
    : shape_(shape) {
  for (int64_t l = 0; l < shape.layers; ++l) {
    for (auto* rows : {&x_, &y_, &y_hat_, &y_grad_}) {
      rows->push_back(at::empty({tokens, shape.width}, options));
    }
  }
  const auto layers = static_cast<size_t>(shape.layers);
  sums_.squared.resize(layers);
  sums_.nested.resize(layers);
  sums_.kept.resize(layers);
  sums_.auxiliary.resize(layers);
}

void TokenShard::load(const data::Batch& batch, int64_t begin, const data::Normalizer& normalizer) {
  for (size_t l = 0; l < x_.size(); ++l) {
    const auto layer = static_cast<int64_t>(l);
    const int64_t tokens = x_[l].size(0);
    normalizer.normalize_input(layer, batch.x[l].narrow(0, begin, tokens), x_[l]);
    normalizer.normalize_target(layer, batch.y[l].narrow(0, begin, tokens), y_[l]);
  }
}

void TokenShard::propose(const Transcoder& transcoder, architectures::Watch watch) {
  candidates_ = transcoder.propose_all(x_, watch);
}

void TokenShard::forward(const Transcoder& transcoder, const StepTerms& terms) {
  sums_.sparsity = 0.0;
  sums_.pre_activation = 0.0;
  std::fill(sums_.nested.begin(), sums_.nested.end(), 0.0);
  std::fill(sums_.auxiliary.begin(), sums_.auxiliary.end(), 0.0);
  codes_.clear();
  for (size_t l = 0; l < x_.size(); ++l) {
    const auto bar = terms.bars.empty() ? std::nullopt : std::optional<double>(terms.bars[l]);
    codes_.push_back(transcoder.filter(static_cast<int64_t>(l), candidates_[l], bar));
    candidates_[l] = {};
    sums_.kept[l] = static_cast<double>(codes_[l].value.gt(0).sum().item<int64_t>());
  }
  transcoder.decode(codes_, x_, {0, shape_.width}, y_hat_);
  for (size_t l = 0; l < x_.size(); ++l) {
    sums_.squared[l] =
        architectures::squared_error_backward(y_[l], y_hat_[l], terms.denominators[l], y_grad_[l]);
  }
}

void TokenShard::count_active(const at::Tensor& fired) const {
  for (size_t l = 0; l < codes_.size(); ++l) {
    fired[static_cast<int64_t>(l)].add_(architectures::active_counts(codes_[l], shape_.features));
  }
}

void TokenShard::backward(const Transcoder& transcoder, const StepTerms& terms,
                          ParameterSink& sink) {
  HoldingSink holding(sink);
  if (terms.auxk.dead.defined()) {
    sums_.auxiliary =
        architectures::auxiliary_reconstruction(transcoder, terms.auxk, x_, y_, y_hat_, holding);
  }
  architectures::NestedTerm nested;
  if (!terms.prefixes.empty()) {
    nested = architectures::nested_reconstruction(transcoder, codes_, x_, y_, terms.prefixes,
                                                  terms.denominators, holding);
    sums_.nested = nested.squared;
  }
  architectures::SparsityTerm sparsity;
  if (!terms.norms.empty()) {
    sparsity = architectures::tanh_penalty(codes_, terms.norms, terms.sparsity_weight,
                                           terms.sparsity_scale, terms.through_norms);
    sums_.sparsity = sparsity.loss;
  }
  architectures::PreActivationTerm pull;
  if (!terms.silent_pull.empty()) {
    pull = architectures::pre_activation_loss(transcoder, x_, codes_, terms.silent_pull,
                                              terms.pull_norms);
    sums_.pre_activation = pull.loss;
  }
  const CodeGradients gradients = transcoder.decode_backward(
      codes_, x_, y_grad_, {0, shape_.width},
      architectures::sum_of_norm_gradients(sparsity.norm_grad, pull.norm_grad), sink);
  for (size_t l = 0; l < x_.size(); ++l) {
    at::Tensor gradient = gradients[l];
    for (const CodeGradients* more : {&nested.value_grad, &sparsity.value_grad}) {
      if (!more->empty()) {
        gradient.add_((*more)[l]);
      }
    }
    const at::Tensor silent_grad =
        terms.silent_pull.empty() ? at::Tensor() : terms.silent_pull[l].neg();
    transcoder.encode_backward(static_cast<int64_t>(l), x_[l], codes_[l], gradient, silent_grad,
                               sink);
  }
}

}  // namespace crossloom::trainer
