// How weights and moments lie in memory (trainer/stored_kernels.h), on the device: what a stored
// number stands for, and which number is stored, by chance one of the two neighbours, so that the
// mean is the value.
//
//   float32    itself                            bfloat16   its upper half, 16 random bits added
//   int8       s · sign(q) (q/127)²              uint8      s · (q/255)⁴
//
// s is the scale of a block of 64, its largest magnitude; `per_unit` is 127²/s or 255⁴/s.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "architectures/kernels/columns_cuda.cuh"

namespace crossloom::trainer {

/// Random bits of the element at `place` of the state block that begins with `block_element`, the
/// same on the CPU: a 64-bit mix of the block's first number under the key, and an integer hash.
__device__ inline uint32_t random_bits(uint64_t key, int64_t block_element, int place) {
  uint64_t seed = key + static_cast<uint64_t>(block_element) * 0x9E3779B97F4A7C15U;
  seed = (seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9U;
  seed = (seed ^ (seed >> 27)) * 0x94D049BB133111EBU;
  uint32_t x = static_cast<uint32_t>((seed ^ (seed >> 31)) >> 32) + static_cast<uint32_t>(place);
  x *= 0x7FEB352DU;
  x ^= x >> 15;
  return x * 0x846CA68BU;
}

/// What a number is rounded by: 16 bits in bfloat16, a number in [1, 2) in bytes.
struct Random {
  uint32_t half;
  float from_one;
};
__device__ inline float number_from_one(uint32_t bits) {
  return __uint_as_float((bits & 0x007FFFFFU) | 0x3F800000U);
}
__device__ inline Random for_weight(uint32_t bits) {
  return {bits >> 16, number_from_one(bits)};
}
__device__ inline Random for_first(uint32_t bits) {
  return {bits & 0xFFFFU, number_from_one(bits)};
}
__device__ inline Random for_second(uint32_t bits) {
  return {(bits >> 8) & 0xFFFFU, number_from_one(bits)};
}

/// `below` or the code after it, which stand for base and next: up where
/// random · (next − base) < value − base.
__device__ inline float chosen_code(float below, float base, float next, float value,
                                    const Random& random, float largest) {
  const float gap = next - base;
  const float bar = fmaf(random.from_one, gap, -gap);
  return fminf(below + (bar < value - base ? 1.0F : 0.0F), largest);
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
    return (__float_as_uint(value) + random.half) >> 16;
  }
};

/// First moments: signed codes.
struct SignedByte {
  using Stored = uint8_t;
  static constexpr bool kScaled = true;
  static constexpr float kMost = 127.0F * 127.0F;

  static __device__ float decode(uint32_t bits, float unit) {
    const auto q = static_cast<float>(static_cast<int8_t>(bits));
    return __fmul_rn(unit, __fmul_rn(q, fabsf(q)));
  }
  static __device__ uint32_t encode(float value, float per_unit, const Random& random) {
    const float square = __fmul_rn(fabsf(value), per_unit);
    const float below = floorf(__fsqrt_rn(square));
    const float next = below + 1.0F;
    const float code =
        chosen_code(below, __fmul_rn(below, below), __fmul_rn(next, next), square, random, 127.0F);
    return static_cast<uint32_t>(__float2int_rz(copysignf(code, value))) & 0xFFU;
  }
};

/// Second moments: they are not negative.
struct UnsignedByte {
  using Stored = uint8_t;
  static constexpr bool kScaled = true;
  static constexpr float kMost = 255.0F * 255.0F * 255.0F * 255.0F;

  static __device__ float decode(uint32_t bits, float unit) {
    const auto q = static_cast<float>(bits);
    const float square = __fmul_rn(q, q);
    return __fmul_rn(unit, __fmul_rn(square, square));
  }
  static __device__ uint32_t encode(float value, float per_unit, const Random& random) {
    const float fourth = __fmul_rn(value, per_unit);
    const float below = floorf(__fsqrt_rn(__fsqrt_rn(fourth)));
    const float next = below + 1.0F;
    const float square = __fmul_rn(below, below);
    const float next_square = __fmul_rn(next, next);
    const float code = chosen_code(below, __fmul_rn(square, square),
                                   __fmul_rn(next_square, next_square), fourth, random, 255.0F);
    return static_cast<uint32_t>(__float2int_rz(code)) & 0xFFU;
  }
};

}  // namespace crossloom::trainer
