// The gradients of all parameters in one contiguous vector (flat_layout.h), so that a collective
// and a norm are loops over memory.
#pragma once

#include <vector>

#include "trainer/flat_layout.h"

namespace crossloom::trainer {

class FlatBuffer {
 public:
  /// Zeros, of the type that is computed with. `layout` outlives the buffer.
  FlatBuffer(const std::vector<architectures::Parameter>& parameters, const FlatLayout& layout);

  const FlatLayout& layout() const { return *layout_; }
  /// The whole vector, [layout().total()].
  const at::Tensor& whole() const { return whole_; }
  /// A part of it, [range.count()].
  at::Tensor part(const Range& range) const { return whole_.narrow(0, range.begin, range.count()); }
  /// Parameter p's gradient, in its shape.
  const at::Tensor& view(size_t parameter) const { return views_[parameter]; }
  /// Parameters.
  size_t count() const { return views_.size(); }

 private:
  const FlatLayout* layout_;
  at::Tensor whole_;
  std::vector<at::Tensor> views_;
};

/// Σ g² of a vector in float64: pieces in parallel, added in their order.
double squared_sum(const at::Tensor& vector);

}  // namespace crossloom::trainer
