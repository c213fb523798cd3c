// All parameters in one contiguous vector, so that a collective, an optimizer pass and a norm are
// one loop over memory.
//
//   [ parameter 0 | parameter 1 | … | zeros up to blocks · block_size ]
//
// The vector is cut into `blocks` equal blocks (as many as virtual token shards); a rank owns
// blocks/R consecutive ones: their optimizer state lives there only (ZeRO-1).
#pragma once

#include <vector>

#include "architectures/transcoder.h"

namespace crossloom::trainer {

class FlatBuffer {
 public:
  FlatBuffer(const std::vector<architectures::Parameter>& parameters, int64_t blocks);

  /// The whole vector, [blocks · block_size].
  const at::Tensor& whole() const { return whole_; }
  /// Parameter p's part, in its shape.
  const at::Tensor& view(size_t parameter) const { return views_[parameter]; }
  /// Parameters.
  size_t count() const { return views_.size(); }
  /// Stretches of the vector that the optimizer treats alike, ascending; kFixed ones are left out.
  struct Stretch {
    int64_t begin, end;
    architectures::Training training;
  };
  const std::vector<Stretch>& stretches() const { return stretches_; }
  int64_t block_size() const { return block_size_; }
  int64_t blocks() const { return blocks_; }
  /// Block b, [block_size].
  at::Tensor block(int64_t b) const { return whole_.narrow(0, b * block_size_, block_size_); }

 private:
  int64_t blocks_;
  int64_t block_size_ = 0;
  at::Tensor whole_;
  std::vector<at::Tensor> views_;
  std::vector<Stretch> stretches_;
};

/// Σ g² of a block in float64: pieces in parallel, added in their order.
double squared_sum(const at::Tensor& block);

/// Moves the parameters' values into `buffer` and makes the parameters views of it, so that an
/// update of the buffer is an update of the transcoder.
void adopt_parameters(const std::vector<architectures::Parameter>& parameters, FlatBuffer& buffer);

}  // namespace crossloom::trainer
