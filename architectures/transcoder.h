// A transcoder as a sequence of stages; the stages are the contract. Kernels replace bodies, a mesh
// inserts exchanges between stages, and the trainer stays as it is:
//
//   propose(l, x_l) → candidates │ merge outside │ filter(l, merged) → codes │ exchange of codes │
//   decode(codes, columns) → ŷ │ loss (losses.h) │ decode_backward → code gradients + sink │
//   return of code gradients │ encode_backward → sink
//
// Letters: T tokens, L layers, D width, F features per layer, K kept (common/shapes.h).
// All tensors of one call have one scalar type, float32 or float64, that of the parameters; weight
// matrices may be stored in bfloat16 (stored_weights.h). Inputs x and targets y are normalised by
// the caller. No files, no YAML nodes, no communicator in this room.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "architectures/codes.h"
#include "architectures/transcoder_options.h"

namespace crossloom::architectures {

struct TranscoderShape {
  int64_t layers = 0;    // L
  int64_t width = 0;     // D
  int64_t features = 0;  // F
};

/// How a parameter is cut when a model axis exists: whole on every rank, by (layer, feature), or by
/// output column in units of 64.
enum class ShardRule : uint8_t { kReplicated, kLayerFeature, kColumns };

/// How the optimizer treats a parameter: with the learning rate, with that of the thresholds, or
/// not at all (the trainer sets it by a rule of its own).
enum class Training : uint8_t { kTrained, kThreshold, kFixed };

struct Parameter {
  std::string name;  // "W_enc_3", "b_enc_3", "W_dec_3", "b_dec_3": circuit-tracer's names
  at::Tensor value;  // shape per architecture
  ShardRule rule = ShardRule::kReplicated;
  Training training = Training::kTrained;
};

/// In use, or in training: codes must then also hold silent entries whose gradient the backward
/// pass needs.
enum class Watch : uint8_t { kNothing, kGradients };

/// The whole reconstruction, or only what features write: no bias, no skip (AuxK).
enum class Part : uint8_t { kWhole, kFeatureWrites };

/// Columns in which owners, panels and passes cut rows.
inline constexpr int64_t kColumnUnit = 64;

/// Output columns [begin, end) of D.
struct ColumnRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t width() const { return end - begin; }
  /// These columns of rows [n, D].
  at::Tensor cut(const at::Tensor& rows) const { return rows.narrow(1, begin, width()); }
};

/// Takes stretches of one parameter's gradient where they are made, so that no buffer of the
/// parameter's size is needed. Called from several threads, for disjoint stretches.
class GradientStretches {
 public:
  virtual ~GradientStretches() = default;
  /// ∂Loss of elements [first, first + count) of the flattened parameter, complete.
  virtual void take(int64_t first, int64_t count, const float* gradient) = 0;
  virtual void take(int64_t first, int64_t count, const double* gradient) = 0;
  /// These elements come soon: a chance to fetch what belongs to them.
  virtual void expect(int64_t /*first*/, int64_t /*count*/) {}
};

/// Where backward stages put parameter gradients. `gradient(p)` is a buffer of the parameter's
/// shape to add into; `finished(p)` says that no more will be added in this micro-step, so an
/// apply-now sink may update the parameter. Parameters are numbered as in Transcoder::parameters().
class ParameterSink {
 public:
  virtual ~ParameterSink() = default;
  virtual at::Tensor gradient(size_t parameter) = 0;
  virtual void finished(size_t parameter) = 0;
  /// Instead of gradient(p), for who can deliver every element once, complete, and needs the
  /// parameter's old value of none that it has delivered. Null: only gradient(p) will do.
  virtual GradientStretches* stretches(size_t /*parameter*/) { return nullptr; }
};

class Transcoder {
 public:
  virtual ~Transcoder() = default;

  virtual const TranscoderShape& shape() const = 0;
  virtual const TranscoderOptions& options() const = 0;
  /// Fixed order. Values are updated in place by the trainer.
  virtual const std::vector<Parameter>& parameters() const = 0;
  /// What is computed with: the type of x, y, codes and gradients.
  virtual at::ScalarType type() const = 0;
  /// One paragraph: name, formula, options really used, parameter count.
  virtual std::string describe() const = 0;

  /// x [T, D] → the layer's candidates.
  virtual Candidates propose(int64_t layer, const at::Tensor& x,
                             Watch watch = Watch::kNothing) const = 0;
  /// propose for all layers: x [L][T, D]. An override gives the same values, faster where a layer
  /// alone does not busy all threads.
  virtual std::vector<Candidates> propose_all(const std::vector<at::Tensor>& x,
                                              Watch watch = Watch::kNothing) const;
  /// Candidates merged over ranks → codes. `bar`: for architectures that select over a batch
  /// (batch_kept() > 0), the value of the batch's last kept entry; without it their stored rule.
  virtual LayerCodes filter(int64_t layer, const Candidates& merged,
                            std::optional<double> bar = std::nullopt) const = 0;
  /// K when the selection is over the whole batch (K·T entries per layer), else 0.
  virtual int64_t batch_kept() const { return 0; }
  /// Into how many parts of equal size a training batch is cut; 1 at first. Of a selection over the
  /// batch, candidates with Watch::kGradients hold what the parts' bar may reach.
  virtual void set_batch_parts(int64_t /*parts*/) {}
  /// K from now on (K annealing). Throws ConfigError when the architecture has none, or K > F.
  virtual void set_kept(int64_t k) = 0;

  /// y_hat[l] [T, columns.width()] ← reconstruction of every layer.
  /// `x` [L][T, D] is read by architectures with a skip only.
  virtual void decode(const Codes& codes, const std::vector<at::Tensor>& x, ColumnRange columns,
                      std::vector<at::Tensor>& y_hat, Part part = Part::kWhole) const = 0;
  /// y_hat [T, columns.width()] ← reconstruction of one layer; reads codes of layers ≤ target only,
  /// so it can follow a forward pass. x [T, D] is the target layer's own input.
  virtual void decode_layer(int64_t target, const Codes& codes, const at::Tensor& x,
                            ColumnRange columns, at::Tensor& y_hat) const = 0;
  /// y_grad[l] [T, columns.width()] = ∂Loss/∂ŷ → gradients of the codes' values (from these columns
  /// only: sum over ranks that hold others); decoder gradients go to the sink.
  /// norm_grad [L] of [F] = ∂Loss/∂n of every feature's decoder norm, divided by n; empty: none.
  virtual CodeGradients decode_backward(const Codes& codes, const std::vector<at::Tensor>& x,
                                        const std::vector<at::Tensor>& y_grad, ColumnRange columns,
                                        const std::vector<at::Tensor>& norm_grad,
                                        ParameterSink& sink, Part part = Part::kWhole) const = 0;
  /// value_grad [nnz] of layer l's codes → encoder gradients into the sink. `silent_grad` [F] is
  /// ∂Loss/∂h of every entry of that feature that is not active; undefined: none.
  virtual void encode_backward(int64_t layer, const at::Tensor& x, const LayerCodes& codes,
                               const at::Tensor& value_grad, const at::Tensor& silent_grad,
                               ParameterSink& sink) const = 0;

  /// Σ over targets of ‖W_dec,i‖² over these columns: [L] of float64 [F].
  virtual std::vector<at::Tensor> decoder_square_norms(ColumnRange columns) const = 0;
  /// θ of every feature, [F]; undefined: 0.
  virtual at::Tensor thresholds(int64_t layer) const = 0;
  /// Pre-activations h = x W_encᵀ + b_enc, [T, F]; with an index (int [n]) those features, [T, n].
  virtual at::Tensor pre_activations(int64_t layer, const at::Tensor& x,
                                     const at::Tensor& index = {}) const = 0;
  /// Vectors that features `index` (int32 [n]) of layer `source` write into layer `target`, per
  /// unit of activation: [n, D]; undefined when this architecture does not write there. `value`
  /// [n]: their activations, which the vectors of some architectures depend on; undefined: 1.
  virtual at::Tensor written_rows(int64_t source, int64_t target, const at::Tensor& index,
                                  const at::Tensor& value = {}) const = 0;
  /// Encoder rows of features `index` (int32 [n]): [n, D].
  virtual at::Tensor read_rows(int64_t layer, const at::Tensor& index) const = 0;
  /// W_skip [D_out, D_in]: ŷ_l += W_skip x_l; undefined: no skip.
  virtual at::Tensor skip_weight(int64_t layer) const = 0;
};

/// Numbers in all of them together.
int64_t element_count(const std::vector<Parameter>& parameters);

/// The parameter of that name. Throws InternalError when there is none.
const at::Tensor& find_parameter(const Transcoder& transcoder, const std::string& name);

}  // namespace crossloom::architectures
