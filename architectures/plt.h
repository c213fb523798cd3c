// Per-layer transcoder: every layer writes to its own target only (transcoders.md 5.1).
//
//   ŷ^l = b_dec^l + W_dec^l a^l                  W_dec_l [F, D], one row per feature
#pragma once

#include "architectures/decoder_topology.h"

namespace crossloom::architectures {

class Plt final : public DecoderTopology {
 public:
  Plt(const TranscoderShape& shape, at::ScalarType type)
      : DecoderTopology(shape, type, rows_per_layer(shape)) {}

  std::string describe() const override {
    return "ŷ[l] = b_dec[l] + W_dec[l] a[l], each layer to its own target; W_dec_l [F, D]";
  }
  int64_t owner(int64_t source, int64_t target) const override {
    return source == target ? source : -1;
  }
  at::Tensor table(const at::Tensor& weights, int64_t, int64_t) const override { return weights; }
};

}  // namespace crossloom::architectures
