// The two sides of the encoder's product as bytes (byte_rows.h). With a centre m of the inputs and
// a scale c per column,
//
//   w·x = (w / c)·((x − m) ∘ c) + w·m,
//
// so columns that are large in one side and small in the other meet in the middle, and what all
// inputs have in common costs no grid steps. Any m and any c > 0 are right; good ones make the
// bytes lose less: m is the mean of some inputs, c = √(rms of W's column / rms of (x − m)'s).
#pragma once

#include <vector>

#include "common/tensor.h"

namespace crossloom::architectures::kernels {

/// m, c, 1/c and m ∘ c: float32 [D].
struct ByteFrame {
  at::Tensor centre;
  at::Tensor scale;
  at::Tensor inverse_scale;
  at::Tensor scaled_centre;
};

/// x [T, D] float32, weight [F', D] float32 or bfloat16; from at most some 100 rows of each.
ByteFrame byte_frame(const at::Tensor& x, const at::Tensor& weight);

/// Rows [n, D] as bytes with what the bound needs. Norms are rounded up.
struct ByteRows {
  at::Tensor rows;                 // int8 q [n, D₄], D up to a multiple of 4 with q = 0
  std::vector<float> steps;        // s
  std::vector<float> norms;        // the larger of ‖v‖ and ‖s q‖
  std::vector<float> error_norms;  // ‖v − s q‖
  std::vector<float> products;     // v·(m ∘ c): of weights, w·m
};

/// v = (x − m) ∘ c.
ByteRows input_bytes(const at::Tensor& x, const ByteFrame& frame);
/// v = w / c; the bytes are q + 128, unsigned (byte_products.h).
ByteRows weight_bytes(const at::Tensor& weight, const ByteFrame& frame);

}  // namespace crossloom::architectures::kernels
