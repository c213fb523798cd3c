#include "architectures/kernels/byte_products.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <cstring>
#include <numeric>

#include "architectures/kernels/ranges.h"

namespace crossloom::architectures::kernels {
namespace {

constexpr int64_t kQuad = 4;                        // bytes that one lane multiplies at once
constexpr int64_t kMostColumns = int64_t{1} << 16;  // of products below 2¹⁵, in int32

}  // namespace

ByteTiles tiles_of(const at::Tensor& rows) {
  const int64_t tokens = rows.size(0);
  const int64_t width = rows.size(1);
  CROSSLOOM_CHECK(width % kQuad == 0, "{} columns are not whole quads", width);
  CROSSLOOM_CHECK(width <= kMostColumns, "sums of {} products leave int32", width);
  ByteTiles tiles{.bytes = {},
                  .starts = {},
                  .count = (tokens + kTileTokens - 1) / kTileTokens,
                  .quads = width / kQuad};
  tiles.bytes = at::empty({tiles.tokens() * width}, at::kChar);
  tiles.starts.resize(static_cast<size_t>(tiles.tokens()));
  const std::vector<int8_t> zeros(static_cast<size_t>(width), 0);
  const auto* from = rows.const_data_ptr<int8_t>();
  auto* to = tiles.bytes.mutable_data_ptr<int8_t>();
  for_token_ranges(tiles.tokens(), [&](Range range) {
    for (int64_t t = range.first; t < range.last; ++t) {
      int8_t* place = to + t / kTileTokens * kTileTokens * width + t % kTileTokens * kQuad;
      const int8_t* row = t < tokens ? from + t * width : zeros.data();
      for (int64_t q = 0; q < tiles.quads; ++q) {
        std::memcpy(place + q * kTileTokens * kQuad, row + q * kQuad, kQuad);
      }
      tiles.starts[static_cast<size_t>(t)] = -128 * std::accumulate(row, row + width, 0);
    }
  });
  return tiles;
}

void multiply_bytes_plainly(const uint8_t* weights, int64_t count, const ByteTiles& tiles,
                            int32_t* products) {
  const auto* bytes = tiles.bytes.const_data_ptr<int8_t>();
  const int64_t width = tiles.quads * kQuad;
  for (int64_t f = 0; f < count; ++f) {
    for (int64_t t = 0; t < tiles.tokens(); ++t) {
      const int8_t* x = bytes + t / kTileTokens * kTileTokens * width + t % kTileTokens * kQuad;
      int32_t sum = tiles.starts[static_cast<size_t>(t)];
      for (int64_t d = 0; d < width; ++d) {
        sum += weights[f * width + d] * x[d / kQuad * kTileTokens * kQuad + d % kQuad];
      }
      products[f * tiles.tokens() + t] = sum;
    }
  }
}

#if defined(__x86_64__)
namespace {

constexpr int kTileVectors = 4;  // of 16 tokens
constexpr int kRows = 6;         // features at a time: 24 of the 32 registers hold sums

/// N features with one tile.
template <int N>
__attribute__((target("avx512f,avx512vnni"))) void multiply_tile(const uint8_t* weights,
                                                                 int64_t quads, const int8_t* tile,
                                                                 const int32_t* starts,
                                                                 int32_t* products,
                                                                 int64_t stride) {
  __m512i sums[N][kTileVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kTileVectors; ++v) {
    const __m512i start = _mm512_loadu_si512(starts + 16 * v);
#pragma GCC unroll 8
    for (int f = 0; f < N; ++f) {
      sums[f][v] = start;
    }
  }
  for (int64_t q = 0; q < quads; ++q) {
    __m512i x[kTileVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kTileVectors; ++v) {
      x[v] = _mm512_loadu_si512(tile + (q * kTileVectors + v) * 64);
    }
#pragma GCC unroll 8
    for (int f = 0; f < N; ++f) {
      int32_t four = 0;
      std::memcpy(&four, weights + (f * quads + q) * kQuad, kQuad);
      const __m512i w = _mm512_set1_epi32(four);
#pragma GCC unroll 8
      for (int v = 0; v < kTileVectors; ++v) {
        sums[f][v] = _mm512_dpbusd_epi32(sums[f][v], w, x[v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int f = 0; f < N; ++f) {
#pragma GCC unroll 8
    for (int v = 0; v < kTileVectors; ++v) {
      _mm512_storeu_si512(products + f * stride + 16 * v, sums[f][v]);
    }
  }
}

/// N features with all tiles.
template <int N>
void multiply_rows(const uint8_t* weights, const ByteTiles& tiles, int32_t* products) {
  const auto* bytes = tiles.bytes.const_data_ptr<int8_t>();
  for (int64_t tile = 0; tile < tiles.count; ++tile) {
    multiply_tile<N>(weights, tiles.quads, bytes + tile * tiles.quads * kTileTokens * kQuad,
                     tiles.starts.data() + tile * kTileTokens, products + tile * kTileTokens,
                     tiles.tokens());
  }
}

}  // namespace

bool has_byte_products() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
}

void multiply_bytes(const uint8_t* weights, int64_t count, const ByteTiles& tiles,
                    int32_t* products) {
  static const bool fast = has_byte_products();
  if (!fast) {
    multiply_bytes_plainly(weights, count, tiles, products);
    return;
  }
  const int64_t width = tiles.quads * kQuad;
  int64_t f = 0;
  for (; f + kRows <= count; f += kRows) {
    multiply_rows<kRows>(weights + f * width, tiles, products + f * tiles.tokens());
  }
  for (; f < count; ++f) {
    multiply_rows<1>(weights + f * width, tiles, products + f * tiles.tokens());
  }
}

#else

bool has_byte_products() {
  return false;
}

void multiply_bytes(const uint8_t* weights, int64_t count, const ByteTiles& tiles,
                    int32_t* products) {
  multiply_bytes_plainly(weights, count, tiles, products);
}

#endif

}  // namespace crossloom::architectures::kernels
