// Numbers that one thread holds, as the words they are stored in: one load or store of up to 16
// bytes where the address allows it, one of each number at a row's end and at odd strides. Device
// code only; float32, bfloat16 (as its 16 bits) and unsigned bytes.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace crossloom::architectures::kernels {

/// A bfloat16: the upper half of a float32.
using HalfBits = uint16_t;

/// The same pointer, of which the compiler then knows that it is to device memory: pointers out of
/// a descriptor could also be to a block's shared memory, and would be loaded from more slowly.
template <typename Number>
__device__ Number* on_device(Number* pointer) {
  __builtin_assume(__isGlobal(pointer));
  return pointer;
}

/// How many of the `count` columns from `column` on a row of `columns` has.
__device__ inline int live_columns(int64_t columns, int64_t column, int count) {
  const int64_t left = columns - column;
  return left >= count ? count : (left > 0 ? static_cast<int>(left) : 0);
}

template <int kBytes>
__device__ bool is_aligned(const void* pointer, int64_t stride_bytes = 0) {
  return (reinterpret_cast<uint64_t>(pointer) | static_cast<uint64_t>(stride_bytes)) % kBytes == 0;
}

template <typename Stored, int kCount>
struct Columns {
  static constexpr int kBytes = kCount * static_cast<int>(sizeof(Stored));
  static constexpr int kWords = kBytes / 4;
  static constexpr int kPerWord = 4 / static_cast<int>(sizeof(Stored));
  static constexpr int kBits = 8 * static_cast<int>(sizeof(Stored));
  static_assert(kWords == 1 || kWords == 2 || kWords == 4, "one load of 4, 8 or 16 bytes");

  uint32_t word[kWords];

  __device__ uint32_t bits(int i) const {
    const uint32_t shifted = word[i / kPerWord] >> (kBits * (i % kPerWord));
    return kBits == 32 ? shifted : shifted & ((1U << (kBits % 32)) - 1U);
  }
  /// Of words that are zero so far.
  __device__ void set_bits(int i, uint32_t bits) {
    word[i / kPerWord] |= bits << (kBits * (i % kPerWord));
  }
  __device__ float number(int i) const {
    static_assert(kBits >= 16, "bytes are codes, not numbers");
    return __uint_as_float(kBits == 32 ? bits(i) : bits(i) << 16);
  }
};

template <int kCount, typename Stored>
__device__ Columns<Stored, kCount> load_whole(const Stored* from) {
  Columns<Stored, kCount> columns;
  constexpr int kWords = Columns<Stored, kCount>::kWords;
  if constexpr (kWords == 4) {
    const uint4 words = *reinterpret_cast<const uint4*>(from);
    columns.word[0] = words.x;
    columns.word[1] = words.y;
    columns.word[2] = words.z;
    columns.word[3] = words.w;
  } else if constexpr (kWords == 2) {
    const uint2 words = *reinterpret_cast<const uint2*>(from);
    columns.word[0] = words.x;
    columns.word[1] = words.y;
  } else {
    columns.word[0] = *reinterpret_cast<const uint32_t*>(from);
  }
  return columns;
}

/// The first `live` columns; zeros after them.
template <int kCount, typename Stored>
__device__ Columns<Stored, kCount> load_part(const Stored* from, int live) {
  Columns<Stored, kCount> columns{};
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (i < live) {
      if constexpr (sizeof(Stored) == 4) {
        columns.word[i] = __float_as_uint(from[i]);
      } else {
        columns.set_bits(i, from[i]);
      }
    }
  }
  return columns;
}

/// kWhole: all columns are live and the address is aligned to their bytes.
template <bool kWhole, int kCount, typename Stored>
__device__ Columns<Stored, kCount> load_columns(const Stored* from, int live) {
  if constexpr (kWhole) {
    return load_whole<kCount>(from);
  } else {
    return load_part<kCount>(from, live);
  }
}

template <int kCount, typename Stored>
__device__ Columns<Stored, kCount> load_columns(const Stored* from, int live) {
  const bool whole = live == kCount && is_aligned<kCount * sizeof(Stored)>(from);
  return whole ? load_whole<kCount>(from) : load_part<kCount>(from, live);
}

template <int kCount, typename Stored>
__device__ void store_columns(const Columns<Stored, kCount>& columns, Stored* to, int live) {
  constexpr int kWords = Columns<Stored, kCount>::kWords;
  if (live == kCount && is_aligned<kCount * sizeof(Stored)>(to)) {
    if constexpr (kWords == 4) {
      *reinterpret_cast<uint4*>(to) =
          make_uint4(columns.word[0], columns.word[1], columns.word[2], columns.word[3]);
    } else if constexpr (kWords == 2) {
      *reinterpret_cast<uint2*>(to) = make_uint2(columns.word[0], columns.word[1]);
    } else {
      *reinterpret_cast<uint32_t*>(to) = columns.word[0];
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (i < live) {
      if constexpr (sizeof(Stored) == 4) {
        to[i] = __uint_as_float(columns.word[i]);
      } else {
        to[i] = static_cast<Stored>(columns.bits(i));
      }
    }
  }
}

/// kCount float32 numbers, 16 bytes at a time.
template <int kCount>
__device__ void load_numbers(const float* from, int live, float (&numbers)[kCount]) {
#pragma unroll
  for (int first = 0; first < kCount; first += 4) {
    const auto columns = load_columns<4>(from + first, live_columns(live, first, 4));
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      numbers[first + i] = columns.number(i);
    }
  }
}

template <int kCount>
__device__ void store_numbers(const float (&numbers)[kCount], float* to, int live) {
#pragma unroll
  for (int first = 0; first < kCount; first += 4) {
    Columns<float, 4> columns{};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      columns.word[i] = __float_as_uint(numbers[first + i]);
    }
    store_columns(columns, to + first, live_columns(live, first, 4));
  }
}

}  // namespace crossloom::architectures::kernels
