// Cross-layer transcoder, untied: every layer writes to its own target and to later ones, each
// through its own decoder (transcoders.md 5.2); with a window W to at most W layers ahead (5.5).
//
//   ŷ^{l'} = b_dec^{l'} + Σ_{l'−W ≤ l ≤ l'} W_dec^{l→l'} a^l
//
// Fat rows: W_dec_l [F, min(L−l, W+1), D] holds, for one feature, the vectors for all its targets
// l, l+1, … next to each other: one contiguous read per active feature.
#pragma once

#include <algorithm>

#include "architectures/decoder_topology.h"

namespace crossloom::architectures {

class Clt final : public DecoderTopology {
 public:
  /// `window`: layers ahead; −1: all.
  Clt(const TranscoderShape& shape, at::ScalarType type, int64_t window)
      : DecoderTopology(shape, type, fat_rows(shape, span(shape, window))),
        ahead_(span(shape, window)) {}

  std::string describe() const override {
    return fmt::format(
        "ŷ[l'] = b_dec[l'] + Σ_{{l ≤ l'}} W_dec[l→l'] a[l], untied, at most {} layers ahead; fat "
        "rows W_dec_l [F, targets, D]",
        ahead_);
  }
  int64_t owner(int64_t source, int64_t target) const override {
    return target - source <= ahead_ ? source : -1;
  }
  at::Tensor table(const at::Tensor& weights, int64_t source, int64_t target) const override {
    return weights.select(1, target - source);
  }

 private:
  static int64_t span(const TranscoderShape& shape, int64_t window) {
    return window < 0 ? shape.layers - 1 : std::min(window, shape.layers - 1);
  }
  static std::vector<std::vector<int64_t>> fat_rows(const TranscoderShape& shape, int64_t ahead) {
    std::vector<std::vector<int64_t>> shapes;
    for (int64_t layer = 0; layer < shape.layers; ++layer) {
      shapes.push_back({shape.features, std::min(shape.layers - layer, ahead + 1), shape.width});
    }
    return shapes;
  }

  int64_t ahead_;
};

}  // namespace crossloom::architectures
