// Decode on the GPU, all writes of all targets in one launch:
//
//   y[t] += Σ_writes Σ_{i active} a_{t,i} · table[i]      [T, d]
//
// A block has one token and a piece of one target's columns; each thread keeps the sums of 16 bytes
// of columns in registers over all writes, so y is read and written once. Tokens are the fastest
// dimension of the grid: blocks that run together have the same target, go through its sources in
// step and find each other's rows in the L2 cache. No atomics: an element has one thread.
#include "architectures/kernels/columns_cuda.cuh"
#include "architectures/kernels/decode_cuda.h"
#include "architectures/kernels/launch_cuda.cuh"

namespace crossloom::architectures::kernels {
namespace {

constexpr int kMostThreads = 128;
constexpr int kStaged = 128;  // codes in shared memory at a time
constexpr int kAhead = 4;     // rows whose loads are under way

/// Some codes of the block's token.
struct StagedCodes {
  int64_t place[kStaged];  // where a code's row begins in the table, in elements
  float value[kStaged];
};

/// One thread's columns of a target: what is live of them, and their sums so far.
template <typename Stored>
struct DecodeColumns {
  static constexpr int kCount = 16 / static_cast<int>(sizeof(Stored));
  int live;
  float sum[kCount];
};

/// kRows staged codes from `first` on, in order; all their loads before the first sum. table: at
/// the thread's first column.
template <int kRows, bool kWhole, typename Stored>
__device__ void add_rows(const Stored* table, const StagedCodes& staged, int first,
                         DecodeColumns<Stored>& columns) {
  constexpr int kCount = DecodeColumns<Stored>::kCount;
  Columns<Stored, kCount> row[kRows];
#pragma unroll
  for (int j = 0; j < kRows; ++j) {
    row[j] = load_columns<kWhole, kCount>(table + staged.place[first + j], columns.live);
  }
#pragma unroll
  for (int j = 0; j < kRows; ++j) {
    const float value = staged.value[first + j];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      columns.sum[i] = fmaf(value, row[j].number(i), columns.sum[i]);
    }
  }
}

template <bool kWhole, typename Stored>
__device__ void add_staged(const Stored* table, const StagedCodes& staged, int count,
                           DecodeColumns<Stored>& columns) {
  int j = 0;
  for (; j + kAhead <= count; j += kAhead) {
    add_rows<kAhead, kWhole>(table, staged, j, columns);
  }
  for (; j < count; ++j) {
    add_rows<1, kWhole>(table, staged, j, columns);
  }
}

/// What one write adds to the token's columns. All threads of the block take part.
template <typename Stored>
__device__ void add_write(const CudaDecodeWrite& write, int64_t token, int64_t column,
                          StagedCodes& staged, DecodeColumns<Stored>& columns) {
  constexpr int kCount = DecodeColumns<Stored>::kCount;
  const int64_t first = on_device(write.codes.offsets)[token];
  const int64_t count = on_device(write.codes.offsets)[token + 1] - first;
  const int32_t* index = on_device(write.codes.index) + first;
  const float* value = on_device(write.codes.value) + first;
  const int64_t stride = write.table_stride;
  const Stored* table = on_device(static_cast<const Stored*>(write.table)) + column;
  const bool whole = columns.live == kCount &&
                     is_aligned<16>(table, stride * static_cast<int64_t>(sizeof(Stored)));
  for (int64_t done = 0; done < count; done += kStaged) {
    const int now = static_cast<int>(min(count - done, static_cast<int64_t>(kStaged)));
    __syncthreads();  // the codes staged before are used up
    for (int j = static_cast<int>(threadIdx.x); j < now; j += static_cast<int>(blockDim.x)) {
      staged.place[j] = index[done + j] * stride;
      staged.value[j] = value[done + j];
    }
    __syncthreads();
    if (whole) {
      add_staged<true>(table, staged, now, columns);
    } else if (columns.live > 0) {
      add_staged<false>(table, staged, now, columns);
    }
  }
}

template <typename Stored>
__global__ void __launch_bounds__(kMostThreads) decode_kernel(CudaDecode work) {
  constexpr int kCount = DecodeColumns<Stored>::kCount;
  __shared__ StagedCodes staged;
  const CudaDecodeTarget target = work.targets[gridDim.z - 1 - blockIdx.z];  // the heaviest first
  const int64_t token = blockIdx.x;
  const int64_t piece = static_cast<int64_t>(blockIdx.y) * blockDim.x;
  const int64_t column = (piece + threadIdx.x) * kCount;
  DecodeColumns<Stored> columns{live_columns(work.columns, column, kCount), {}};
  float* y = on_device(target.y) + token * target.y_stride + column;
  load_numbers(y, columns.live, columns.sum);
  for (int64_t w = 0; w < target.write_count; ++w) {
    add_write(work.writes[target.first_write + w], token, column, staged, columns);
  }
  store_numbers(columns.sum, y, columns.live);
}

template <typename Stored>
cudaError_t launch(const CudaDecode& work, cudaStream_t stream) {
  const auto pieces = cut_columns(work.columns, DecodeColumns<Stored>::kCount, kMostThreads);
  if (work.tokens > kMostBlocks || pieces.count > kMostRows || work.target_count > kMostRows) {
    return cudaErrorInvalidValue;
  }
  const dim3 grid(static_cast<unsigned>(work.tokens), static_cast<unsigned>(pieces.count),
                  static_cast<unsigned>(work.target_count));
  decode_kernel<Stored><<<grid, static_cast<unsigned>(pieces.threads), 0, stream>>>(work);
  return cudaGetLastError();
}

}  // namespace

cudaError_t run_decode_cuda(const CudaDecode& work, cudaStream_t stream) {
  if (work.tokens == 0 || work.columns == 0 || work.target_count == 0) {
    return cudaSuccess;
  }
  switch (work.table_type) {
    case CudaNumber::kFloat:
      return launch<float>(work, stream);
    case CudaNumber::kHalf:
      return launch<HalfBits>(work, stream);
    case CudaNumber::kByte:
      break;
  }
  return cudaErrorInvalidValue;
}

}  // namespace crossloom::architectures::kernels
