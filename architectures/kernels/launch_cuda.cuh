// How threads are dealt out over the columns of a row: as few pieces as blocks of `most` threads
// allow, all about equally wide, whole warps.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace crossloom::architectures::kernels {

inline constexpr int64_t kWarp = 32;
inline constexpr int64_t kMostInt32 = 2147483647;
inline constexpr int64_t kMostBlocks = kMostInt32;  // of a grid along x
inline constexpr int64_t kMostRows = 65535;         // of a grid along y or z

struct ColumnPieces {
  int64_t count;
  int64_t threads;  // of each
};

__host__ __device__ constexpr int64_t divide_up(int64_t number, int64_t by) {
  return (number + by - 1) / by;
}

/// `columns` > 0; a thread has `per_thread` of them.
constexpr ColumnPieces cut_columns(int64_t columns, int64_t per_thread, int64_t most) {
  const int64_t threads = divide_up(columns, per_thread);
  const int64_t count = divide_up(threads, most);
  return {count, divide_up(divide_up(threads, count), kWarp) * kWarp};
}

}  // namespace crossloom::architectures::kernels
