// What an activation rule decides: which candidates of a token are offered, and which are kept.
// Two phases, so that ranks that hold parts of F can merge their offers in between.
#pragma once

#include <string>

#include "architectures/codes.h"

namespace crossloom::architectures {

class Activation {
 public:
  virtual ~Activation() = default;
  /// Pre-activations h [T, F] → candidates. Throws DataError naming `layer` when h is not finite.
  virtual Candidates propose(int64_t layer, const at::Tensor& h) const = 0;
  virtual LayerCodes filter(const Candidates& merged) const = 0;
  /// One line with the formula and the options used.
  virtual std::string describe() const = 0;
};

}  // namespace crossloom::architectures
