// Which layers a layer's features write to, and through which vectors. A topology owns the decoder
// weights and biases; parameters are numbered from 0 within it.
//
//   ŷ^{l'} = b_dec^{l'} + Σ_{l → l'} Σ_i a^l_i · W_dec^{l→l'}[i]
#pragma once

#include <string>
#include <vector>

#include "architectures/transcoder.h"

namespace crossloom::architectures {

class DecoderTopology {
 public:
  virtual ~DecoderTopology() = default;

  /// 2L of them: W_dec_0, b_dec_0 [D], W_dec_1, …; shapes of W_dec in the topology's header.
  virtual const std::vector<Parameter>& parameters() const = 0;
  /// One clause for Transcoder::describe.
  virtual std::string describe() const = 0;

  /// As Transcoder::decode_layer, without a skip: adds to y_hat [T, columns.width()], which holds
  /// the target's bias, what layers ≤ target write there.
  virtual void add_writes(int64_t target, const Codes& codes, ColumnRange columns,
                          const at::Tensor& y_hat) const = 0;
  /// As Transcoder::decode_backward: y_grad [L] of [T, columns.width()] → [L] of [nnz].
  virtual CodeGradients decode_backward(const Codes& codes, const std::vector<at::Tensor>& y_grad,
                                        ColumnRange columns, ParameterSink& sink) const = 0;
  /// index int32 [n] → [n, D], undefined when `source` does not write to `target`.
  virtual at::Tensor written_rows(int64_t source, int64_t target,
                                  const at::Tensor& index) const = 0;
};

/// Numbers of layer l's decoder parameters within a topology.
inline size_t decoder_weight_number(int64_t layer) {
  return static_cast<size_t>(2 * layer);
}
inline size_t decoder_bias_number(int64_t layer) {
  return static_cast<size_t>(2 * layer + 1);
}

/// Zero-initialised W_dec_l of the shape given per layer and b_dec_l [D], both sharded by columns.
std::vector<Parameter> zero_decoders(const std::vector<std::vector<int64_t>>& weight_shapes,
                                     int64_t width, at::ScalarType type);

/// y_hat ← b_dec of `target` repeated over the tokens of its codes, then add_writes; y_hat [T, d]
/// is made anew unless it fits.
void decode_target(const DecoderTopology& topology, int64_t target, const Codes& codes,
                   ColumnRange columns, at::Tensor& y_hat);

/// ∂b_dec^l += Σ_t y_grad[l]_t for every layer, then finished.
void bias_backward(const std::vector<at::Tensor>& y_grad, ColumnRange columns, ParameterSink& sink);

/// A zero per code: [L] of [nnz].
CodeGradients zero_code_gradients(const Codes& codes);

/// Throws InternalError unless every layer has codes of the same tokens and columns lie in [0, D).
void check_decode_call(const TranscoderShape& shape, const Codes& codes, ColumnRange columns);

}  // namespace crossloom::architectures
