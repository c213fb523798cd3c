// Tied decoders whose activations pass an affine map per pair of layers (transcoders.md 5.4, the
// form of EleutherAI's code; the Landscape post's own formula orders scale and shift differently).
//
//   ŷ^{l'} = b_dec^{l'} + Σ_{l ≤ l'} Σ_i g_i · W_dec[i],   g = (a + shift^{l,o}) · scale^{l,o},
//   o = l' − l, on active entries only; W_dec of the target (incremental) or of the source
//
//   r = ⟨Δ^{l'}, W_dec[i]⟩:  ∂a += r scale,  ∂scale += r (a + shift),  ∂shift += r scale,
//                            ∂W_dec[i] += g Δ^{l'}
//
// affine_scale_l, affine_shift_l [L − l, F], row o for target l + o. At first shift is 0 and scale
// is 1 for o = 0, else 0: training starts as a per-layer transcoder. Penalties take norms of W_dec
// itself, without scales.
#pragma once

#include "architectures/decoder_topology.h"
#include "architectures/kernels/feature_lists.h"

namespace crossloom::architectures {

class AffineTied final : public DecoderTopology {
 public:
  enum class Tie : uint8_t { kTarget, kSource };

  AffineTied(const TranscoderShape& shape, at::ScalarType type, Tie tie);

  std::string describe() const override;
  int64_t owner(int64_t source, int64_t target) const override {
    return source > target ? -1 : tie_ == Tie::kTarget ? target : source;
  }
  at::Tensor table(const at::Tensor& weights, int64_t, int64_t) const override { return weights; }

  void add_writes(int64_t target, const Codes& codes, ColumnRange columns,
                  const at::Tensor& y_hat) const override;
  void add_all_writes(const Codes& codes, ColumnRange columns,
                      const std::vector<at::Tensor>& y_hat) const override;
  CodeGradients decode_backward(const Codes& codes, const std::vector<at::Tensor>& y_grad,
                                ColumnRange columns, const std::vector<at::Tensor>& norm_grad,
                                ParameterSink& sink) const override;
  at::Tensor written_rows(int64_t source, int64_t target, const at::Tensor& index,
                          const at::Tensor& value) const override;

 private:
  size_t scale_number(int64_t source) const;
  size_t shift_number(int64_t source) const { return scale_number(source) + 1; }
  /// scale and shift of a pair, at the codes' features: [nnz].
  at::Tensor at_codes(size_t parameter, int64_t ahead, const at::Tensor& index) const;
  /// Codes with value g instead of a.
  LayerCodes mapped(const LayerCodes& codes, int64_t source, int64_t target) const;
  /// What arrives at a target from its sources.
  Codes mapped_to(int64_t target, const Codes& codes) const;
  kernels::DecodeTarget writes_of(int64_t target, const Codes& written, ColumnRange columns,
                                  const at::Tensor& y_hat) const;
  /// A pair on its way through its table: g by feature, and r in the lists' order.
  struct Pair {
    int64_t source;
    int64_t target;
    kernels::FeatureLists lists;
    at::Tensor reach;  // [nnz]
  };
  /// Those that write through W_dec of `layer`.
  std::vector<Pair> pairs_of(int64_t layer, const Codes& codes) const;
  /// The part of decode_backward that goes through W_dec of `layer`.
  void table_backward(int64_t layer, const Codes& codes, const std::vector<at::Tensor>& y_grad,
                      ColumnRange columns, const std::vector<at::Tensor>& norm_grad,
                      const CodeGradients& value_grad, ParameterSink& sink) const;
  /// From r to ∂scale, ∂shift and ∂a, which is added to value_grad [nnz].
  void map_backward(const Pair& pair, const LayerCodes& codes, const at::Tensor& value_grad,
                    ParameterSink& sink) const;

  Tie tie_;
};

}  // namespace crossloom::architectures
