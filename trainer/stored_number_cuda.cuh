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

/// An element's random bits under a key, the same on the CPU: an integer hash (multiply and shift,
/// twice) of its number.
__device__ inline uint32_t random_bits(uint64_t key, int64_t element) {
  const auto number = static_cast<uint64_t>(element);
  const auto high = static_cast<uint32_t>(number >> 32);
  uint32_t x =
      static_cast<uint32_t>(number) ^ (static_cast<uint32_t>(key >> 32) ^ (high * 0x9E3779B9U));
  x += static_cast<uint32_t>(key);
  x = (x ^ (x >> 16)) * 0x7FEB352DU;
  x = (x ^ (x >> 15)) * 0x846CA68BU;
  return x ^ (x >> 16);
}

/// Which 16 of an element's random bits weight, first and second moment round by.
__device__ inline uint32_t weight_bits(uint32_t bits) {
  return bits & 0xFFFFU;
}
__device__ inline uint32_t first_bits(uint32_t bits) {
  return bits >> 16;
}
__device__ inline uint32_t second_bits(uint32_t bits) {
  return (bits >> 8) & 0xFFFFU;
}

/// `below` or the code after it, which stand for base and next: up where
/// random · (next − base) < value − base.
__device__ inline float chosen_code(float below, float base, float next, float value,
                                    uint32_t random, float largest) {
  const float bar = __fmul_rn(__fmul_rn(static_cast<float>(random), 0x1p-16F), next - base);
  return fminf(below + (bar < value - base ? 1.0F : 0.0F), largest);
}

struct FloatNumber {
  using Stored = float;
  static constexpr bool kScaled = false;

  static __device__ float decode(uint32_t bits, float /*unit*/) { return __uint_as_float(bits); }
  static __device__ uint32_t encode(float value, float /*per_unit*/, uint32_t /*random*/) {
    return __float_as_uint(value);
  }
};

struct HalfNumber {
  using Stored = architectures::kernels::HalfBits;
  static constexpr bool kScaled = false;

  static __device__ float decode(uint32_t bits, float /*unit*/) {
    return __uint_as_float(bits << 16);
  }
  static __device__ uint32_t encode(float value, float /*per_unit*/, uint32_t random) {
    return (__float_as_uint(value) + random) >> 16;
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
  static __device__ uint32_t encode(float value, float per_unit, uint32_t random) {
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
  static __device__ uint32_t encode(float value, float per_unit, uint32_t random) {
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
