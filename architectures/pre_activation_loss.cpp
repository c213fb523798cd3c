#include "architectures/pre_activation_loss.h"

#include "architectures/kernels/reductions.h"

namespace crossloom::architectures {

double pre_activation_loss(const Transcoder& transcoder, int64_t layer, const at::Tensor& x,
                           const LayerCodes& codes, const at::Tensor& weights) {
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
  at::Tensor loss = all.neg();
  const at::Tensor theta = transcoder.thresholds(layer);
  if (theta.defined()) {
    const at::Tensor silent = tokens - active_counts(codes, features).to(at::kDouble);
    loss = loss + theta.to(at::kDouble) * silent;
  }
  return (loss * weights.to(at::kDouble)).sum().item<double>();
}

}  // namespace crossloom::architectures
