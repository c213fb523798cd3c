// A row as bytes on a grid of its own, for the screen of the encoder (screen.h):
//
//   v = (row − centre) ∘ scale,   q = round(v / s),   s = max |v| / 127
//
// What the grid loses is measured, not bounded.
#pragma once

#include <hwy/base.h>

#include <cstdint>

namespace crossloom::architectures::kernels {

/// What the rows of a matrix have in common, each [width].
struct RowGrid {
  const float* centre;
  const float* scale;
  const float* direction;
};

/// Of one row, in float32.
struct ByteRow {
  float step;     // s
  float whole;    // Σ v²
  float near;     // Σ (s q)²
  float error;    // Σ (v − s q)²
  float product;  // Σ v·direction
};

/// to [width] ← q; `values` [width] is room to work in. width ≥ kScreenLanes (screen.h).
ByteRow row_to_bytes(const float* row, const RowGrid& grid, int64_t width, float* values,
                     int8_t* to);
ByteRow row_to_bytes(const hwy::bfloat16_t* row, const RowGrid& grid, int64_t width, float* values,
                     int8_t* to);

}  // namespace crossloom::architectures::kernels
