// Weight matrices W_enc and W_dec may be stored in bfloat16; everything else, and all that is
// computed with them, is then float32. Sparse kernels read stored rows; where a product needs a
// whole matrix, it is converted for the moment.
#pragma once

#include "common/tensor.h"

namespace crossloom::architectures {

/// What is computed with where matrices are stored as `stored`.
inline at::ScalarType computed_type(at::ScalarType stored) {
  return stored == at::kBFloat16 ? at::kFloat : stored;
}

/// The matrix itself, or a float32 copy of a bfloat16 one.
inline at::Tensor computed(const at::Tensor& stored) {
  return stored.to(computed_type(stored.scalar_type()));
}

}  // namespace crossloom::architectures
