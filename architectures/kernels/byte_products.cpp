#include "architectures/kernels/byte_products.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <cstring>
#include <limits>
#include <numeric>

#include "architectures/kernels/ranges.h"

namespace crossloom::architectures::kernels {
namespace {

constexpr int64_t kQuad = 4;                        // bytes that one lane multiplies at once
constexpr int64_t kMostColumns = int64_t{1} << 16;  // of products below 2¹⁵, in int32

/// What makes of the whole part of a quotient by 2^shift the nearest whole number.
int32_t half_of(int32_t shift) {
  return (1 << shift) >> 1;
}

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

int32_t shift_for(double largest) {
  int32_t shift = 0;
  while (largest / static_cast<double>(1 << shift) + 0.5 > std::numeric_limits<int16_t>::max()) {
    ++shift;
  }
  return shift;
}

void multiply_bytes_plainly(const uint8_t* weights, const int32_t* shifts, int64_t count,
                            const ByteTiles& tiles, int16_t* products) {
  const auto* bytes = tiles.bytes.const_data_ptr<int8_t>();
  const int64_t width = tiles.quads * kQuad;
  for (int64_t f = 0; f < count; ++f) {
    for (int64_t t = 0; t < tiles.tokens(); ++t) {
      const int8_t* x = bytes + t / kTileTokens * kTileTokens * width + t % kTileTokens * kQuad;
      int32_t sum = tiles.starts[static_cast<size_t>(t)] + half_of(shifts[f]);
      for (int64_t d = 0; d < width; ++d) {
        sum += weights[f * width + d] * x[d / kQuad * kTileTokens * kQuad + d % kQuad];
      }
      products[f * tiles.tokens() + t] = static_cast<int16_t>(sum >> shifts[f]);
    }
  }
}

#if defined(__x86_64__)
namespace {

constexpr int kTileVectors = 4;  // of 16 tokens
constexpr int kRows = 6;         // features at a time: 24 of the 32 registers hold sums

// GCC 12 takes the forms without a mask for reads of an uninitialised vector.
constexpr __mmask16 kAll = 0xFFFF;

/// N features with one tile.
template <int N>
__attribute__((target("avx512f,avx512vnni"))) void multiply_tile(
    const uint8_t* weights, const int32_t* shifts, int64_t quads, const int8_t* tile,
    const int32_t* starts, int16_t* products, int64_t stride) {
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
    const __m512i half = _mm512_set1_epi32(half_of(shifts[f]));
    const __m128i shift = _mm_cvtsi32_si128(shifts[f]);
#pragma GCC unroll 8
    for (int v = 0; v < kTileVectors; ++v) {
      const __m512i quotient =
          _mm512_maskz_sra_epi32(kAll, _mm512_add_epi32(sums[f][v], half), shift);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(products + f * stride + 16 * v),
                          _mm512_maskz_cvtepi32_epi16(kAll, quotient));
    }
  }
}

/// N features with all tiles.
template <int N>
void multiply_rows(const uint8_t* weights, const int32_t* shifts, const ByteTiles& tiles,
                   int16_t* products) {
  const auto* bytes = tiles.bytes.const_data_ptr<int8_t>();
  for (int64_t tile = 0; tile < tiles.count; ++tile) {
    multiply_tile<N>(weights, shifts, tiles.quads, bytes + tile * tiles.quads * kTileTokens * kQuad,
                     tiles.starts.data() + tile * kTileTokens, products + tile * kTileTokens,
                     tiles.tokens());
  }
}

}  // namespace

bool has_byte_products() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
}

void multiply_bytes(const uint8_t* weights, const int32_t* shifts, int64_t count,
                    const ByteTiles& tiles, int16_t* products) {
  static const bool fast = has_byte_products();
  if (!fast) {
    multiply_bytes_plainly(weights, shifts, count, tiles, products);
    return;
  }
  const int64_t width = tiles.quads * kQuad;
  int64_t f = 0;
  for (; f + kRows <= count; f += kRows) {
    multiply_rows<kRows>(weights + f * width, shifts + f, tiles, products + f * tiles.tokens());
  }
  for (; f < count; ++f) {
    multiply_rows<1>(weights + f * width, shifts + f, tiles, products + f * tiles.tokens());
  }
}

#else

bool has_byte_products() {
  return false;
}

void multiply_bytes(const uint8_t* weights, const int32_t* shifts, int64_t count,
                    const ByteTiles& tiles, int16_t* products) {
  multiply_bytes_plainly(weights, shifts, count, tiles, products);
}

#endif

}  // namespace crossloom::architectures::kernels
