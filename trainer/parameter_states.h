// Moments kept parameter by parameter in few bytes (stored_kernels.h), of what this rank owns of
// each. Matrices are stored as `adam.states` says, vectors in float32: there are few of them. With
// β₁ = 0 there is no first moment.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "trainer/flat_layout.h"
#include "trainer/stored_kernels.h"
#include "trainer/train_options.h"

namespace crossloom::trainer {

struct ParameterState {
  Stored type = Stored::kFloat;
  Range part;                              // of the parameter, [begin, end): whole blocks
  int64_t row = 0;                         // elements of the last dimension; blocks end with it
  at::Tensor first, second;                // [part.count()] float32, bfloat16, or int8 and uint8
  at::Tensor first_scales, second_scales;  // float32, one per block, 8 bits only

  /// Where the moments of the parameter's `element` lie.
  int64_t place(int64_t element) const { return element - part.begin; }
  /// Where the scales of the block that `element` begins, or ends, lie.
  int64_t block(int64_t element) const { return block_of(element) - block_of(part.begin); }

 private:
  int64_t block_of(int64_t element) const {
    if (row % kStateBlock == 0) {
      return element / kStateBlock;  // the same, without a division by a variable
    }
    const int64_t per_row = (row + kStateBlock - 1) / kStateBlock;
    return element / row * per_row + element % row / kStateBlock;
  }
};

class ParameterStates {
 public:
  /// Of what `own` holds of the flat vector.
  ParameterStates(const std::vector<architectures::Parameter>& parameters, const FlatLayout& layout,
                  const Range& own, const AdamOptions& options);

  const ParameterState& of(size_t parameter) const { return states_[parameter]; }
  const std::string& name(size_t parameter) const { return names_[parameter]; }
  size_t count() const { return states_.size(); }
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
