// How weights and moments lie in memory (trainer/stored_kernels.h), on the device: what a stored
// number stands for, and which number is stored, by chance one of the two neighbours, so that the
// mean is the value.
//
//   float32    itself                            bfloat16   its upper half, 16 random bits added
//   int8       s · sign(q) (q/127)²              uint8      s · (q/255)⁴
//
// s is the scale of a block of 64, about its largest magnitude; `per_unit` is 127²/s or 255⁴/s.
// Why bytes are rounded as they are: trainer/stored_numbers-inl.h.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "architectures/kernels/columns_cuda.cuh"

namespace crossloom::trainer {

/// What an element is rounded by: 16 random bits, with w what they are as a part of 2¹⁶, w − ½ and
/// w(1 − w).
struct Random {
  uint32_t bits;
  float offset;
  float variance;
};

/// Of the element at `place` of the state block that begins with `block_element`, the same on the
/// CPU: a 64-bit mix of the block's first number under the key, and an integer hash, whose two
/// halves elements 32 apart have.
__device__ inline Random random_of(uint64_t key, int64_t block_element, int place) {
  uint64_t seed = key + static_cast<uint64_t>(block_element) * 0x9E3779B97F4A7C15U;
  seed = (seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9U;
  seed = (seed ^ (seed >> 27)) * 0x94D049BB133111EBU;
  uint32_t x =
      static_cast<uint32_t>((seed ^ (seed >> 31)) >> 32) + static_cast<uint32_t>(place % 32);
  x *= 0x7FEB352DU;
  x ^= x >> 15;
  x *= 0x846CA68BU;
  const uint32_t bits = place < 32 ? x & 0xFFFFU : x >> 16;
  const float offset = fmaf(static_cast<float>(bits), 0x1p-16F, -0.5F);
  return {bits, offset, fmaf(-offset, offset, 0.25F)};
}

struct FloatNumber {
  using Stored = float;
  static constexpr bool kScaled = false;

  static __device__ float decode(uint32_t bits, float /*unit*/) { return __uint_as_float(bits); }
  static __device__ uint32_t encode(float value, float /*per_unit*/, const Random& /*random*/) {
    return __float_as_uint(value);
  }
};

struct HalfNumber {
  using Stored = architectures::kernels::HalfBits;
  static constexpr bool kScaled = false;

  static __device__ float decode(uint32_t bits, float /*unit*/) {
    return __uint_as_float(bits << 16);
  }
  static __device__ uint32_t encode(float value, float /*per_unit*/, const Random& random) {
    return (__float_as_uint(value) + random.bits) >> 16;
  }
};

/// First moments: signed codes.
struct SignedByte {
  using Stored = uint8_t;
  static constexpr bool kScaled = true;
  static constexpr float kMost = 127.0F * 127.0F;
  static constexpr float kScalePerLargest = 1.0F;

  static __device__ float decode(uint32_t bits, float unit) {
    const auto q = static_cast<float>(static_cast<int8_t>(bits));
    return __fmul_rn(unit, __fmul_rn(q, fabsf(q)));
  }
  static __device__ uint32_t encode(float value, float per_unit, const Random& random) {
    const float square = fmaf(fabsf(value), per_unit, -random.variance);
    const float code = fminf(__fsqrt_rn(fmaxf(square, 0.0F)) + random.offset, 127.0F);
    return static_cast<uint32_t>(__float2int_rn(copysignf(code, value))) & 0xFFU;
  }
};

/// Second moments: they are not negative.
struct UnsignedByte {
  using Stored = uint8_t;
  static constexpr bool kScaled = true;
  static constexpr float kMost = 255.0F * 255.0F * 255.0F * 255.0F;
  static constexpr float kScalePerLargest = 1.0F + 0x1p-19F;

  static __device__ float decode(uint32_t bits, float unit) {
    const auto q = static_cast<float>(bits);
    const float square = __fmul_rn(q, q);
    return __fmul_rn(unit, __fmul_rn(square, square));
  }
  static __device__ uint32_t encode(float value, float per_unit, const Random& random) {
    const float root = __fsqrt_rn(__fmul_rn(value, per_unit));
    const float square = fmaf(-3.0F, random.variance, root);
    const float exact = root < 1.0F ? __fmul_rn(root, root) : __fsqrt_rn(fmaxf(square, 1.0F));
    const float code = fminf(exact + random.offset, 255.0F);
    return static_cast<uint32_t>(__float2int_rn(code)) & 0xFFU;
  }
};

}  // namespace crossloom::trainer
