// Which layers a layer's features write to, and through which vectors. A topology owns the decoder
// weights and biases; parameters are numbered from 0 within it. It is a table of pairs:
//
//   ŷ^{l'} = b_dec^{l'} + Σ_{l → l'} Σ_i a^l_i · W^{l→l'}[i]
//   ∂a^l_i = Σ_{l → l'} ⟨Δ^{l'}, W^{l→l'}[i]⟩,   ∂W^{l→l'}[i] = Σ_t a^l_{t,i} Δ_t^{l'},  Δ =
//   ∂Loss/∂ŷ
//
// (transcoders.md 5, 7). A pair's table is a view of its owner's weights; several pairs may share
// one. Codes of low density go through sparse rows, dense ones through GEMMs.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "architectures/transcoder.h"

namespace crossloom::architectures {

namespace kernels {
struct DecodeTarget;
struct WeightPass;
}  // namespace kernels

class DecoderTopology {
 public:
  virtual ~DecoderTopology() = default;

  /// One clause for Transcoder::describe.
  virtual std::string describe() const = 0;
  /// The layer whose weights serve source → target; −1 when source does not write there.
  virtual int64_t owner(int64_t source, int64_t target) const = 0;
  /// The pair's table [F, D], a view of its owner's weights (or of their gradient).
  virtual at::Tensor table(const at::Tensor& weights, int64_t source, int64_t target) const = 0;
  /// W_dec_0, b_dec_0 [D], W_dec_1, … (2L of them; shapes of W_dec in the topology's header), then
  /// what the topology adds.
  const std::vector<Parameter>& parameters() const { return parameters_; }
  const at::Tensor& bias(int64_t layer) const;

  /// Adds to y_hat [T, columns.width()] what layers ≤ target write to `target`.
  virtual void add_writes(int64_t target, const Codes& codes, ColumnRange columns,
                          const at::Tensor& y_hat) const;
  /// add_writes for every target at once. A topology that overrides one overrides both.
  virtual void add_all_writes(const Codes& codes, ColumnRange columns,
                              const std::vector<at::Tensor>& y_hat) const;
  /// As Transcoder::decode_backward, without biases: y_grad [L] of [T, columns.width()] → [L] of
  /// [nnz].
  virtual CodeGradients decode_backward(const Codes& codes, const std::vector<at::Tensor>& y_grad,
                                        ColumnRange columns,
                                        const std::vector<at::Tensor>& norm_grad,
                                        ParameterSink& sink) const;
  /// ∂b_dec^l += Σ_t y_grad[l]_t for every layer, then finished.
  void bias_backward(const std::vector<at::Tensor>& y_grad, ColumnRange columns,
                     ParameterSink& sink) const;

  /// Throws InternalError unless every layer has codes of the same tokens and columns lie in [0,
  /// D).
  void check_call(const Codes& codes, ColumnRange columns) const;

  /// As Transcoder::written_rows.
  virtual at::Tensor written_rows(int64_t source, int64_t target, const at::Tensor& index,
                                  const at::Tensor& value) const;
  /// Σ over targets of ‖W^{l→l'}[i]‖² over these columns: [L] of float64 [F].
  std::vector<at::Tensor> square_norms(ColumnRange columns) const;

 protected:
  /// Weights of the shape given per layer and zero b_dec_l [D], sharded by columns.
  DecoderTopology(const TranscoderShape& shape, at::ScalarType type,
                  const std::vector<std::vector<int64_t>>& weight_shapes);

  /// After those of the base: numbered from 2L.
  void add_parameter(Parameter parameter) { parameters_.push_back(std::move(parameter)); }
  const TranscoderShape& shape() const { return shape_; }
  const at::Tensor& weights(int64_t layer) const;
  static size_t weight_number(int64_t layer) { return static_cast<size_t>(2 * layer); }
  static size_t bias_number(int64_t layer) { return static_cast<size_t>(2 * layer + 1); }
  static std::vector<std::vector<int64_t>> rows_per_layer(const TranscoderShape& shape) {
    return {static_cast<size_t>(shape.layers), {shape.features, shape.width}};
  }
  /// add_writes of the target's own layer only.
  void add_own_writes(int64_t layer, const Codes& codes, ColumnRange columns,
                      const at::Tensor& y_hat) const;
  /// decode_backward over pairs at most `ahead` layers apart (norm gradients over all pairs).
  CodeGradients backward_within(int64_t ahead, const Codes& codes,
                                const std::vector<at::Tensor>& y_grad, ColumnRange columns,
                                const std::vector<at::Tensor>& norm_grad,
                                ParameterSink& sink) const;
  /// Takes W_dec of a layer as it is made; null where columns are missing or the sink wants a sum.
  GradientStretches* stretches_of(int64_t layer, ColumnRange columns, ParameterSink& sink) const;
  /// A pass over the table that serves source → target, as yet without terms: to `stretches`, with
  /// the norms' gradient, or where they are null to weight_grad, without.
  kernels::WeightPass start_pass(int64_t from, int64_t source, int64_t target, ColumnRange columns,
                                 const std::vector<at::Tensor>& norm_grad,
                                 GradientStretches* stretches, const at::Tensor& weight_grad) const;
  /// Adds norm_grad[source] · W to the gradient of every pair.
  void add_norm_gradients(const std::vector<at::Tensor>& norm_grad, ColumnRange columns,
                          int64_t owner, const at::Tensor& weight_grad) const;

 private:
  struct SourceBackward;
  struct TableBackward;
  struct TargetGradient;
  struct OwnerBackward;

  /// Adds what sources ≥ first_source with dense codes write; the sparse ones' writes.
  kernels::DecodeTarget write_dense(int64_t first_source, int64_t target, const Codes& codes,
                                    ColumnRange columns, const at::Tensor& y_hat) const;
  std::vector<SourceBackward> start_sources(const Codes& codes) const;
  /// The passes over all pairs that owner `from` serves, to be run by run_owners.
  OwnerBackward start_owner(int64_t from, int64_t ahead, std::vector<SourceBackward>& sources,
                            const std::vector<TargetGradient>& y_grad, ColumnRange columns,
                            const std::vector<at::Tensor>& norm_grad, ParameterSink& sink) const;
  /// Whether the pairs of a source, at most `ahead` layers apart, all have the same owner.
  bool sources_have_one_owner(int64_t ahead) const;
  /// Reach into the sources and weight gradients to the sink, of owners that share no source.
  void run_owners(const std::vector<OwnerBackward>& owners, ColumnRange columns,
                  const std::vector<at::Tensor>& norm_grad) const;
  /// Sources at most `ahead` layers before `target` whose pair with it owner `from` serves.
  std::vector<int64_t> served_sources(int64_t from, int64_t target, int64_t ahead) const;
  /// Σ norm_grad[s] over all pairs (s, ·) of the table that serves source → target: [F].
  at::Tensor table_norm_gradient(int64_t from, int64_t source, int64_t target,
                                 const std::vector<at::Tensor>& norm_grad) const;

  TranscoderShape shape_;
  std::vector<Parameter> parameters_;
};

/// A layer's codes go through GEMMs when more than this share of [T, F] is coded. Chosen where a
/// core did 90 GFLOP/s in a float32 GEMM and 20 in gathered rows.
inline constexpr double kDenseShare = 0.2;

}  // namespace crossloom::architectures
