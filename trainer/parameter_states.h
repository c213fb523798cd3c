// Moments kept parameter by parameter in few bytes (stored_kernels.h), for steps that apply
// gradients as they come. Matrices are stored as `adam.states` says, vectors in float32: there are
// few of them. With β₁ = 0 there is no first moment.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "architectures/transcoder.h"
#include "trainer/stored_kernels.h"
#include "trainer/train_options.h"

namespace crossloom::trainer {

struct ParameterState {
  Stored type = Stored::kFloat;
  int64_t row = 0;                         // elements of the last dimension; blocks end with it
  at::Tensor first, second;                // [numel] float32, bfloat16, or int8 and uint8
  at::Tensor first_scales, second_scales;  // float32, one per block, 8 bits only

  int64_t blocks_per_row() const { return (row + kStateBlock - 1) / kStateBlock; }
  /// The block that `element` begins.
  int64_t block(int64_t element) const {
    if (row % kStateBlock == 0) {
      return element / kStateBlock;  // the same, without a division by a variable
    }
    return element / row * blocks_per_row() + element % row / kStateBlock;
  }
};

class ParameterStates {
 public:
  ParameterStates(const std::vector<architectures::Parameter>& parameters,
                  const AdamOptions& options);

  const ParameterState& of(size_t parameter) const { return states_[parameter]; }
  int64_t bytes() const;
  /// Name → tensor, for a checkpoint: "m.W_dec_0", "m_scale.W_dec_0", "v.W_dec_0", …
  std::vector<std::pair<std::string, at::Tensor>> tensors() const;

 private:
  std::vector<std::string> names_;
  std::vector<ParameterState> states_;
};

/// How a matrix's moments are stored: full, bfloat16 or 8bit. Throws ConfigError for another.
Stored stored_type(const std::string& states);

}  // namespace crossloom::trainer
