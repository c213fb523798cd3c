#include "architectures/auxk.h"

#include <algorithm>

#include "architectures/topk.h"

namespace crossloom::architectures {

LayerCodes dead_feature_codes(const Transcoder& transcoder, int64_t layer, const at::Tensor& x,
                              const at::Tensor& dead, int64_t k) {
  const at::Tensor which = dead.nonzero().view(-1);  // ascending
  if (which.numel() == 0) {
    return {.offsets = at::zeros({x.size(0) + 1}, at::kLong),
            .index = at::empty({0}, at::kInt),
            .value = at::empty({0}, x.options())};
  }
  const at::Tensor h = transcoder.pre_activations(layer, x, which);
  const int64_t kept = std::min(k, which.numel());
  LayerCodes codes = TopK(kept, which.numel()).propose(layer, h, 0, Watch::kNothing);
  codes.index = which.index_select(0, codes.index).to(at::kInt);
  return codes;
}

std::vector<double> auxiliary_reconstruction(const Transcoder& transcoder, const AuxKTerm& term,
                                             const std::vector<at::Tensor>& x,
                                             const std::vector<at::Tensor>& y,
                                             const std::vector<at::Tensor>& y_hat,
                                             ParameterSink& sink) {
  const ColumnRange columns{0, transcoder.shape().width};
  Codes codes;
  for (size_t l = 0; l < x.size(); ++l) {
    const auto layer = static_cast<int64_t>(l);
    codes.push_back(dead_feature_codes(transcoder, layer, x[l], term.dead[layer], term.kept));
  }
  std::vector<at::Tensor> e_hat;
  transcoder.decode(codes, x, columns, e_hat, Part::kFeatureWrites);
  std::vector<double> squared;
  std::vector<at::Tensor> e_grad;
  for (size_t l = 0; l < x.size(); ++l) {
    const at::Tensor error = e_hat[l] - (y[l] - y_hat[l]);
    squared.push_back(error.square().sum(at::kDouble).item<double>());
    e_grad.push_back(error * (2.0 * term.weights[l]));
  }
  const CodeGradients gradients =
      transcoder.decode_backward(codes, x, e_grad, columns, {}, sink, Part::kFeatureWrites);
  for (size_t l = 0; l < x.size(); ++l) {
    transcoder.encode_backward(static_cast<int64_t>(l), x[l], codes[l], gradients[l], {}, sink);
  }
  return squared;
}

}  // namespace crossloom::architectures
