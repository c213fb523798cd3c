// Which pre-activations become codes, and with which value. Selection is in two phases, so that
// ranks which hold parts of a layer's features, or parts of the batch, can speak in between:
//
//   propose(h of my features) → candidates │ merge_candidates, bar over the batch │ filter → codes
//
// An activation may own parameters (thresholds); they are numbered from 0 within it.
#pragma once

#include <string>
#include <vector>

#include "architectures/transcoder.h"

namespace crossloom::architectures {

/// h = x weightᵀ + bias before it is computed: x [T, D], weight [F', D] as stored, bias [F'] of
/// features first_feature … first_feature + F' − 1.
struct EncoderProduct {
  at::Tensor x;
  at::Tensor weight;
  at::Tensor bias;
  int64_t first_feature = 0;

  at::Tensor pre_activations() const;  // h [T, F']
};

class Activation {
 public:
  virtual ~Activation() = default;

  /// Fixed order; none by default.
  virtual const std::vector<Parameter>& parameters() const;

  /// h [T, F'] holds features first_feature … first_feature + F' − 1; the candidates carry the
  /// layer-wide index. Throws DataError naming layer, token and feature when h is not finite.
  virtual Candidates propose(int64_t layer, const at::Tensor& h, int64_t first_feature,
                             Watch watch) const = 0;
  /// The same from the encoder's product, for activations that need not see all of h.
  virtual Candidates propose_from(int64_t layer, const EncoderProduct& product, Watch watch) const;
  /// propose_from for all layers.
  virtual std::vector<Candidates> propose_all(const std::vector<EncoderProduct>& layers,
                                              Watch watch) const;
  /// Candidates of all features of the layer → codes. `bar` as in Transcoder::filter.
  virtual LayerCodes filter(int64_t layer, const Candidates& merged,
                            std::optional<double> bar) const;
  /// ∂Loss/∂value → ∂Loss/∂h, both [nnz]; gradients of its own parameters go to the sink. By
  /// default the value's gradient passes unchanged. silent_grad [F] as in
  /// Transcoder::encode_backward: it is −∂Loss/∂θ per silent entry.
  virtual at::Tensor backward(int64_t layer, const LayerCodes& codes, const at::Tensor& value_grad,
                              const at::Tensor& silent_grad, ParameterSink& sink) const;

  /// θ of every feature, [F]: h ≤ θ is silent. Undefined: 0.
  virtual at::Tensor thresholds(int64_t layer) const;
  /// As Transcoder::batch_kept, set_batch_parts and set_kept.
  virtual int64_t batch_kept() const { return 0; }
  virtual void set_batch_parts(int64_t /*parts*/) {}
  virtual void set_kept(int64_t k);
  /// One clause for Transcoder::describe, with the options really used.
  virtual std::string describe() const = 0;
};

}  // namespace crossloom::architectures
