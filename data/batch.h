// A batch: T tokens with, for every layer, what the transcoder reads and what it must produce.
// Layer-major, so that a layer is one contiguous GEMM operand.
#pragma once

#include <vector>

#include "common/tensor.h"

namespace crossloom::data {

struct Batch {
  std::vector<at::Tensor> x;  // [L] of bf16 [T, D], inputs at the input hook
  std::vector<at::Tensor> y;  // [L] of bf16 [T, D], targets at the output hook
  at::Tensor tokens;          // int32 [T], id of the token whose activation the row holds
  at::Tensor documents;       // int64 [T]
  at::Tensor positions;       // int32 [T], position in the context (0 is BOS and never stored)
};

}  // namespace crossloom::data
