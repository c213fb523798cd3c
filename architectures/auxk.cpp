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

}  // namespace crossloom::architectures
