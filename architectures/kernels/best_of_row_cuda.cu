// The K largest positive entries of rows [T, F] on the GPU, ties to the lower index, places
// ascending: a radix select, a block per row.
//
// A positive float32 orders as its bits; everything else counts as 0 and is never taken. The first
// pass over a row counts its entries by their upper 11 bits, which tells in which of these 2,048
// ranges the K-th largest lies; the second copies what lies there or above, in order, to shared
// memory, where the other 20 bits are settled. A row with more than 4,096 such entries (many equal
// ones) is read four times instead.
#include <cub/block/block_scan.cuh>

#include "architectures/kernels/best_of_row_cuda.h"
#include "architectures/kernels/columns_cuda.cuh"
#include "architectures/kernels/launch_cuda.cuh"

namespace crossloom::architectures::kernels {
namespace {

constexpr int kThreads = 512;
constexpr int kPerThread = 4;  // entries a thread looks at together
constexpr int kTile = kThreads * kPerThread;
constexpr int kBins = 2048;  // of the widest digit, 11 bits
constexpr int kCandidates = 4096;

using Scan = cub::BlockScan<uint32_t, kThreads>;

/// The K-th largest key: larger ones are taken, and of equal ones the first `ties`.
struct Bar {
  uint32_t key;
  uint32_t ties;
};

/// The digit at which the entries counted from the largest on reach a number.
struct Digit {
  uint32_t digit;
  uint32_t above;   // entries with larger digits
  uint32_t inside;  // entries with this one
};

struct Shared {
  uint32_t bins[kBins];
  uint32_t key[kCandidates];
  int32_t place[kCandidates];
  Scan::TempStorage scan;
  Digit found;
};

/// A row's entries as keys.
struct RowKeys {
  const float* row;
  int64_t count;

  /// Keys of four entries from `first` on; 0 beyond the row's end.
  __device__ void load(int64_t first, uint32_t (&key)[kPerThread]) const {
    const auto entries =
        load_columns<kPerThread>(row + first, live_columns(count, first, kPerThread));
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      key[i] = entries.number(i) > 0.0F ? entries.bits(i) : 0U;
    }
  }
  __device__ int32_t place(int64_t entry) const {
    return static_cast<int32_t>(entry);
  }
};

/// Those of a row's entries that were copied to shared memory, in the row's order.
struct CandidateKeys {
  const Shared& shared;
  int64_t count;

  __device__ void load(int64_t first, uint32_t (&key)[kPerThread]) const {
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      key[i] = first + i < count ? shared.key[first + i] : 0U;
    }
  }
  __device__ int32_t place(int64_t entry) const {
    return shared.place[entry];
  }
};

__device__ int64_t own_first(int64_t tile) {
  return tile + static_cast<int64_t>(threadIdx.x) * kPerThread;
}

/// bins[b] = positive entries whose bits from kShift + kWidth on are `prefix` and whose kWidth bits
/// below are b.
template <int kShift, int kWidth, typename Keys>
__device__ void count_digits(const Keys& keys, uint32_t prefix, Shared& shared) {
  for (int bin = static_cast<int>(threadIdx.x); bin < kBins; bin += kThreads) {
    shared.bins[bin] = 0;
  }
  __syncthreads();
  for (int64_t tile = 0; tile < keys.count; tile += kTile) {
    uint32_t key[kPerThread];
    keys.load(own_first(tile), key);
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      if (key[i] != 0 && key[i] >> (kShift + kWidth) == prefix) {
        atomicAdd(&shared.bins[(key[i] >> kShift) & ((1U << kWidth) - 1U)], 1U);
      }
    }
  }
  __syncthreads();
}

/// The digit that holds the `wanted`-th largest counted entry, into shared.found; false where fewer
/// were counted.
__device__ bool find_digit(uint32_t wanted, Shared& shared) {
  constexpr int kOwn = kBins / kThreads;
  const int largest = kBins - 1 - static_cast<int>(threadIdx.x) * kOwn;
  uint32_t own = 0;
  for (int i = 0; i < kOwn; ++i) {
    own += shared.bins[largest - i];
  }
  uint32_t above = 0;
  uint32_t all = 0;
  Scan(shared.scan).ExclusiveSum(own, above, all);
  for (int i = 0; i < kOwn; ++i) {
    const uint32_t inside = shared.bins[largest - i];
    if (above < wanted && wanted <= above + inside) {
      shared.found = {static_cast<uint32_t>(largest - i), above, inside};
    }
    above += inside;
  }
  __syncthreads();
  return all >= wanted;
}

/// The bar of the `wanted`-th largest key among those whose upper 11 bits are `digit`.
template <typename Keys>
__device__ Bar find_bar(const Keys& keys, uint32_t digit, uint32_t wanted, Shared& shared) {
  count_digits<9, 11>(keys, digit, shared);
  find_digit(wanted, shared);
  const Digit middle = shared.found;
  const uint32_t prefix = digit << 11 | middle.digit;
  count_digits<0, 9>(keys, prefix, shared);
  find_digit(wanted - middle.above, shared);
  return {prefix << 9 | shared.found.digit, wanted - middle.above - shared.found.above};
}

/// Calls emit(place among the taken, key, place in the row) for what the bar takes, in order;
/// returns how many that are.
template <typename Keys, typename Emit>
__device__ uint32_t take(const Keys& keys, Bar bar, Shared& shared, const Emit& emit) {
  uint32_t above = 0;  // in earlier tiles
  uint32_t equal = 0;
  for (int64_t tile = 0; tile < keys.count; tile += kTile) {
    const int64_t first = own_first(tile);
    uint32_t key[kPerThread];
    keys.load(first, key);
    uint32_t own = 0;  // those above in the lower half, the equal ones in the upper half
    for (int i = 0; i < kPerThread; ++i) {
      own += key[i] > bar.key ? 1U : (bar.ties > 0 && key[i] == bar.key ? 1U << 16 : 0U);
    }
    if (__syncthreads_or(own != 0 ? 1 : 0) == 0) {
      continue;
    }
    uint32_t before = 0;
    uint32_t all = 0;
    Scan(shared.scan).ExclusiveSum(own, before, all);
    uint32_t above_before = above + (before & 0xFFFFU);
    uint32_t equal_before = equal + (before >> 16);
    for (int i = 0; i < kPerThread; ++i) {
      if (key[i] > bar.key) {
        emit(above_before + min(equal_before, bar.ties), key[i], keys.place(first + i));
        ++above_before;
      } else if (bar.ties > 0 && key[i] == bar.key) {
        if (equal_before < bar.ties) {
          emit(above_before + equal_before, key[i], keys.place(first + i));
        }
        ++equal_before;
      }
    }
    above += all & 0xFFFFU;
    equal += all >> 16;
  }
  return above + min(equal, bar.ties);
}

/// Copies entries of `digit` and larger ones to shared memory.
__device__ CandidateKeys gather(const RowKeys& row, uint32_t digit, Shared& shared) {
  const Bar below{max(digit << 20, 1U) - 1U, 0};
  const uint32_t count = take(row, below, shared, [&](uint32_t at, uint32_t key, int32_t place) {
    shared.key[at] = key;
    shared.place[at] = place;
  });
  __syncthreads();
  return {shared, count};
}

__global__ void __launch_bounds__(kThreads) best_of_rows_kernel(const CudaBestOfRow work) {
  __shared__ Shared shared;
  const int64_t token = blockIdx.x;
  const auto kept = static_cast<uint32_t>(work.kept);
  const RowKeys row{on_device(work.rows) + token * work.rows_stride, work.features};
  int32_t* places = on_device(work.places) + token * work.kept;
  float* values = on_device(work.values) + token * work.kept;
  const auto write = [&](uint32_t at, uint32_t key, int32_t place) {
    places[at] = place;
    values[at] = __uint_as_float(key);
  };
  count_digits<20, 11>(row, 0, shared);
  const bool enough = find_digit(kept, shared);
  const Digit upper = shared.found;
  uint32_t count = 0;
  if (!enough) {
    count = take(row, Bar{0, 0}, shared, write);  // all positive ones
  } else if (upper.above + upper.inside <= kCandidates) {
    const CandidateKeys candidates = gather(row, upper.digit, shared);
    const Bar bar = find_bar(candidates, upper.digit, kept - upper.above, shared);
    count = take(candidates, bar, shared, write);
  } else {
    const Bar bar = find_bar(row, upper.digit, kept - upper.above, shared);
    count = take(row, bar, shared, write);
  }
  if (threadIdx.x == 0) {
    work.counts[token] = static_cast<int32_t>(count);
  }
}

}  // namespace

cudaError_t best_of_rows_cuda(const CudaBestOfRow& work, cudaStream_t stream) {
  if (work.kept < 1 || work.kept > kMostInt32 || work.features > kMostInt32 ||
      work.tokens > kMostBlocks) {
    return cudaErrorInvalidValue;
  }
  if (work.tokens == 0) {
    return cudaSuccess;
  }
  best_of_rows_kernel<<<static_cast<unsigned>(work.tokens), kThreads, 0, stream>>>(work);
  return cudaGetLastError();
}

}  // namespace crossloom::architectures::kernels
