#include "architectures/pre_activation_loss.h"

#include "architectures/kernels/reductions.h"

namespace crossloom::architectures {
namespace {

/// S of one layer, float64 [F].
at::Tensor silent_shortfall(const Transcoder& transcoder, int64_t layer, const at::Tensor& x,
                            const LayerCodes& codes) {
  const int64_t features = transcoder.shape().features;
  const auto tokens = static_cast<double>(codes.tokens());
  const at::Tensor bias =
      find_parameter(transcoder, fmt::format("b_enc_{}", layer)).to(at::kDouble);
  const at::Tensor sum_x = kernels::column_sums(x).to(x.scalar_type()).unsqueeze(0);  // [1, D]
  // W Σx + T b = h(Σx) + (T − 1) b
  at::Tensor all =
      transcoder.pre_activations(layer, sum_x).squeeze(0).to(at::kDouble) + (tokens - 1.0) * bias;
  const at::Tensor index = codes.index.to(at::kLong);
  // An active entry's value is its h; others have value 0.
  all.index_add_(0, index, codes.value.to(at::kDouble), -1.0);
  const at::Tensor theta = transcoder.thresholds(layer);
  if (!theta.defined()) {
    return all.neg();
  }
  const at::Tensor silent = tokens - active_counts(codes, features).to(at::kDouble);
  return theta.to(at::kDouble) * silent - all;
}

}  // namespace

PreActivationTerm pre_activation_loss(const Transcoder& transcoder,
                                      const std::vector<at::Tensor>& x, const Codes& codes,
                                      const std::vector<at::Tensor>& weights,
                                      const std::vector<at::Tensor>& norms) {
  PreActivationTerm term;
  for (size_t l = 0; l < codes.size(); ++l) {
    const at::Tensor losses = silent_shortfall(transcoder, static_cast<int64_t>(l), x[l], codes[l])
                                  .mul_(weights[l].to(at::kDouble));  // [F]
    term.loss += losses.sum().item<double>();
    if (!norms.empty()) {
      const at::Tensor squares = norms[l].to(at::kDouble).square();
      term.norm_grad.push_back(
          at::where(squares.gt(0), losses / squares, at::zeros_like(losses))  // 0/0 is not taken
              .to(norms[l].scalar_type()));
    }
  }
  return term;
}

}  // namespace crossloom::architectures
