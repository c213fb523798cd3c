// Which pre-activations become codes, and with which value. Selection is in two phases, so that
// ranks which hold parts of a layer's features can merge their proposals in between:
//
//   propose(h of my features) → candidates │ merge_candidates │ filter → codes
//
// Every activation here passes the gradient of a kept value unchanged to its pre-activation.
#pragma once

#include <string>

#include "architectures/codes.h"

namespace crossloom::architectures {

class Activation {
 public:
  virtual ~Activation() = default;

  /// h [T, F'] holds features first_feature … first_feature + F' − 1; the candidates carry the
  /// layer-wide index. Throws DataError naming layer, token and feature when h is not finite.
  virtual Candidates propose(int64_t layer, const at::Tensor& h, int64_t first_feature) const = 0;
  /// Candidates of all features of the layer, best first → codes.
  virtual LayerCodes filter(int64_t layer, const Candidates& merged) const = 0;
  /// One clause for Transcoder::describe, with the options really used.
  virtual std::string describe() const = 0;
};

}  // namespace crossloom::architectures
