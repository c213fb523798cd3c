// Products of bytes, exact, with four times as many multiplications an instruction as in float32
// where the processor has AVX-512 VNNI:
//
//   P[f, t] = Σ_d w[f, d] · x[t, d] = Σ_d (w[f, d] + 128) · x[t, d] − 128 Σ_d x[t, d]
//
// The instruction takes one unsigned and one signed side, hence the second form. x is laid out once
// in tiles, so that four bytes of each of 64 tokens are one load of four vectors; w is read as it
// lies, four bytes of a feature at a time. What is kept of a product are 16 bits, since all of them
// together leave the cache: the nearest multiple of a power of two (up where two are as near).
#pragma once

#include <cstdint>
#include <vector>

#include "common/tensor.h"

namespace crossloom::architectures::kernels {

inline constexpr int64_t kTileTokens = 64;

/// Rows of bytes by tile: [tiles, quads, kTileTokens, 4], zeros behind the last token.
struct ByteTiles {
  at::Tensor bytes;             // int8, flat
  std::vector<int32_t> starts;  // −128 Σ_d x[t, d], [tiles · kTileTokens]
  int64_t count = 0;            // tiles
  int64_t quads = 0;            // of four columns
  int64_t tokens() const { return count * kTileTokens; }
};

/// rows int8 [T, D], D a multiple of 4.
ByteTiles tiles_of(const at::Tensor& rows);

/// Whether the processor multiplies bytes faster than float32 numbers.
bool has_byte_products();

/// The least shift with which a product of magnitude up to `largest` is kept.
int32_t shift_for(double largest);

/// products [count, tiles' tokens] ← P / 2^shift, of `count` features. weights [count, D]: bytes
/// w + 128; shifts [count]: with which a feature's products fit 16 bits.
void multiply_bytes(const uint8_t* weights, const int32_t* shifts, int64_t count,
                    const ByteTiles& tiles, int16_t* products);
/// The same, one multiplication after the other: where has_byte_products() is false, and in tests.
void multiply_bytes_plainly(const uint8_t* weights, const int32_t* shifts, int64_t count,
                            const ByteTiles& tiles, int16_t* products);

}  // namespace crossloom::architectures::kernels
