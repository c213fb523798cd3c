#include "trainer/token_shard.h"

#include "architectures/auxk.h"
#include "architectures/losses.h"
#include "architectures/matryoshka.h"
#include "architectures/pre_activation_loss.h"
#include "architectures/sparsity.h"
#include "trainer/gradient_sink.h"

namespace crossloom::trainer {

using architectures::CodeGradients;
using architectures::Codes;
using architectures::ColumnRange;
using architectures::ParameterSink;
using architectures::Part;
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
  candidates_.clear();
  for (size_t l = 0; l < x_.size(); ++l) {
    candidates_.push_back(transcoder.propose(static_cast<int64_t>(l), x_[l], watch));
  }
}

void TokenShard::forward(const Transcoder& transcoder, const StepTerms& terms) {
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

void TokenShard::add_auxk(const Transcoder& transcoder, const StepTerms& terms,
                          ParameterSink& sink) {
  HoldingSink holding(sink);
  Codes codes;
  for (size_t l = 0; l < x_.size(); ++l) {
    const auto layer = static_cast<int64_t>(l);
    codes.push_back(
        architectures::dead_feature_codes(transcoder, layer, x_[l], terms.dead[layer], terms.auxk));
  }
  const ColumnRange columns{0, shape_.width};
  std::vector<at::Tensor> e_hat;
  std::vector<at::Tensor> e_grad;
  transcoder.decode(codes, x_, columns, e_hat, Part::kFeatureWrites);
  for (size_t l = 0; l < x_.size(); ++l) {
    const at::Tensor error = e_hat[l] - residual(l);
    sums_.auxiliary[l] = error.square().sum(at::kDouble).item<double>();
    e_grad.push_back(error * (2.0 * terms.auxk_weights[l]));
  }
  const CodeGradients gradients =
      transcoder.decode_backward(codes, x_, e_grad, columns, {}, holding, Part::kFeatureWrites);
  for (size_t l = 0; l < x_.size(); ++l) {
    transcoder.encode_backward(static_cast<int64_t>(l), x_[l], codes[l], gradients[l], {}, holding);
  }
}

void TokenShard::backward(const Transcoder& transcoder, const StepTerms& terms,
                          ParameterSink& sink) {
  if (terms.dead.defined()) {
    add_auxk(transcoder, terms, sink);
  }
  architectures::SparsityTerm sparsity;
  if (!terms.norms.empty()) {
    sparsity = architectures::tanh_penalty(codes_, terms.norms, terms.sparsity_weight,
                                           terms.sparsity_scale, terms.through_norms);
  }
  sums_.sparsity = sparsity.loss;
  sums_.pre_activation = 0.0;
  architectures::NestedTerm nested;
  if (!terms.prefixes.empty()) {
    HoldingSink holding(sink);
    nested = architectures::nested_reconstruction(transcoder, codes_, x_, y_, terms.prefixes,
                                                  terms.denominators, holding);
    sums_.nested = nested.squared;
  }
  const CodeGradients gradients =
      transcoder.decode_backward(codes_, x_, y_grad_, {0, shape_.width}, sparsity.norm_grad, sink);
  for (size_t l = 0; l < x_.size(); ++l) {
    const auto layer = static_cast<int64_t>(l);
    at::Tensor gradient = gradients[l];
    if (!nested.value_grad.empty()) {
      gradient.add_(nested.value_grad[l]);
    }
    if (!sparsity.value_grad.empty()) {
      gradient.add_(sparsity.value_grad[l]);
    }
    at::Tensor silent_grad;
    if (!terms.silent_pull.empty()) {
      sums_.pre_activation += architectures::pre_activation_loss(transcoder, layer, x_[l],
                                                                 codes_[l], terms.silent_pull[l]);
      silent_grad = terms.silent_pull[l].neg();
    }
    transcoder.encode_backward(layer, x_[l], codes_[l], gradient, silent_grad, sink);
  }
}

}  // namespace crossloom::trainer
