// The backward pass on the GPU, feature by feature, all passes of all layers in one launch:
//
//   g[i] = start_i · S[i] + Σ_{t: i active} weight_{t,i} · rows[t]      [d]
//   reach_{t,i} += ⟨table[i], rows[t]⟩
//
// A block has one feature of one group and goes through its passes. A thread keeps four columns of
// the feature's row and of g in registers and loads each token's row once for both sums; products
// with the row are summed over the block's warps in a fixed order. A feature has one block and an
// element one thread, so nothing is atomic, and g never leaves registers where Adam uses it up.
#include "architectures/kernels/adam_update_cuda.cuh"
#include "architectures/kernels/columns_cuda.cuh"
#include "architectures/kernels/feature_pass_cuda.h"
#include "architectures/kernels/launch_cuda.cuh"

namespace crossloom::architectures::kernels {
namespace {

constexpr int kMostThreads = 256;
constexpr int kMostWarps = kMostThreads / 32;
constexpr int kBlocks = 4;   // at least, on a multiprocessor: 64 registers a thread, no spills
constexpr int kCount = 4;    // columns of a thread: 16 bytes of a token's row
constexpr int kStaged = 64;  // codes in shared memory at a time
constexpr int kAhead = 4;    // rows whose loads are under way

/// Some codes of the block's feature, and each warp's part of what they reach.
struct StagedCodes {
  int64_t place[kStaged];  // where a token's row begins, in elements
  float weight[kStaged];
  float reach[kMostWarps][kStaged];
};

/// The block's codes in the lists.
struct FeatureCodes {
  int64_t feature;
  int64_t first;
  int64_t count;
};

/// One thread's columns: where they are, what is live of them, the table's row (zeros without one)
/// and the gradient so far.
struct FeatureColumns {
  int64_t column;
  int live;
  float own[kCount];
  float g[kCount];
};

__device__ float sum_of_warp(float number) {
#pragma unroll
  for (int lane = 16; lane > 0; lane /= 2) {
    number += __shfl_xor_sync(0xFFFFFFFFU, number, lane);
  }
  return number;
}

/// kRows staged codes from `first` on, in order; all their loads before the first sum.
template <int kRows, bool kReach, bool kWhole>
__device__ void add_rows(const float* rows, StagedCodes& staged, int first,
                         FeatureColumns& columns) {
  Columns<float, kCount> row[kRows];
#pragma unroll
  for (int j = 0; j < kRows; ++j) {
    row[j] = load_columns<kWhole, kCount>(rows + staged.place[first + j], columns.live);
  }
#pragma unroll
  for (int j = 0; j < kRows; ++j) {
    const float weight = staged.weight[first + j];
    float product = 0.0F;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float x = row[j].number(i);
      columns.g[i] = fmaf(weight, x, columns.g[i]);
      product = fmaf(columns.own[i], x, product);
    }
    if constexpr (kReach) {
      product = sum_of_warp(product);
      if (threadIdx.x % 32 == 0) {
        staged.reach[threadIdx.x / 32][first + j] = product;
      }
    }
  }
}

template <bool kReach, bool kWhole>
__device__ void add_staged(const float* rows, StagedCodes& staged, int count,
                           FeatureColumns& columns) {
  int j = 0;
  for (; j + kAhead <= count; j += kAhead) {
    add_rows<kAhead, kReach, kWhole>(rows, staged, j, columns);
  }
  for (; j < count; ++j) {
    add_rows<1, kReach, kWhole>(rows, staged, j, columns);
  }
}

/// reach: of the first staged code. A code's entry has one thread, whatever the pass and piece.
__device__ void add_reach(const StagedCodes& staged, int count, float* reach) {
  const int warps = static_cast<int>(blockDim.x) / 32;
  for (int j = static_cast<int>(threadIdx.x); j < count; j += static_cast<int>(blockDim.x)) {
    float sum = 0.0F;
    for (int warp = 0; warp < warps; ++warp) {
      sum += staged.reach[warp][j];
    }
    reach[j] += sum;
  }
}

/// All threads of the block take part.
template <bool kReach>
__device__ void add_tokens(const CudaFeaturePass& pass, const FeatureCodes& codes,
                           StagedCodes& staged, FeatureColumns& columns) {
  const int32_t* token = on_device(pass.token) + codes.first;
  const float* weight = on_device(pass.weight) + codes.first;
  // Threads beyond the row's end go along with their warp, whose lanes sum together: they load the
  // first columns, which their zeros in place of the table's row keep out of the sum.
  const float* rows = on_device(pass.rows) + (columns.live > 0 ? columns.column : 0);
  const int64_t stride = pass.rows_stride;
  const bool fits = columns.live == kCount || columns.live == 0;
  const bool whole = __all_sync(0xFFFFFFFFU, fits && is_aligned<16>(rows, stride * 4)) != 0;
  for (int64_t done = 0; done < codes.count; done += kStaged) {
    const int now = static_cast<int>(min(codes.count - done, static_cast<int64_t>(kStaged)));
    __syncthreads();  // the codes staged before are used up
    for (int j = static_cast<int>(threadIdx.x); j < now; j += static_cast<int>(blockDim.x)) {
      staged.place[j] = token[done + j] * stride;
      staged.weight[j] = weight[done + j];
    }
    __syncthreads();
    if (whole) {
      add_staged<kReach, true>(rows, staged, now, columns);
    } else {
      add_staged<kReach, false>(rows, staged, now, columns);
    }
    if constexpr (kReach) {
      __syncthreads();
      add_reach(staged, now, on_device(pass.reach) + codes.first + done);
    }
  }
}

/// g = start_i · S[i], or 0.
__device__ void begin_gradient(const CudaFeaturePass& pass, int64_t feature,
                               FeatureColumns& columns) {
  if (pass.start == nullptr) {
    return;
  }
  const float start = on_device(pass.start)[feature];
  float scaled[kCount];
  if (pass.table == nullptr) {
    load_numbers(on_device(pass.start_row) + columns.column, columns.live, scaled);
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    columns.g[i] = __fmul_rn(start, pass.table == nullptr ? scaled[i] : columns.own[i]);
  }
}

/// Adds g to the gradient, where the pass has one.
struct AddToGradient {
  static constexpr bool kTakesSilent = false;

  __device__ void take(const CudaFeaturePass& pass, int64_t feature,
                       const FeatureColumns& columns) const {
    if (pass.gradient == nullptr) {
      return;
    }
    float* to = on_device(pass.gradient) + feature * pass.gradient_stride + columns.column;
    float sum[kCount];
    load_numbers(to, columns.live, sum);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      sum[i] = __fadd_rn(sum[i], columns.g[i]);
    }
    store_numbers(sum, to, columns.live);
  }
};

/// Updates weights and moments with g, also where g is 0: moments decay.
struct ApplyAdam {
  static constexpr bool kTakesSilent = true;

  const CudaAdam* coefficients;

  __device__ void take(const CudaFeaturePass& pass, int64_t feature,
                       const FeatureColumns& columns) const {
    const CudaAdam c = *coefficients;
    const int64_t place = feature * pass.weights_stride + columns.column;
    float* weights = on_device(pass.weights) + place;
    float* first = on_device(pass.first) + place;
    float* second = on_device(pass.second) + place;
    float w[kCount];
    float m[kCount];
    float v[kCount];
    load_numbers(weights, columns.live, w);
    load_numbers(first, columns.live, m);
    load_numbers(second, columns.live, v);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      adam_update(columns.g[i], c, w[i], m[i], v[i]);
    }
    store_numbers(w, weights, columns.live);
    store_numbers(m, first, columns.live);
    store_numbers(v, second, columns.live);
  }
};

/// One pass over the block's feature, piece by piece of its columns.
template <typename Stored, typename Sink>
__device__ void run_pass(const CudaFeaturePass& pass, const FeatureCodes& codes, int64_t width,
                         StagedCodes& staged, const Sink& sink) {
  for (int64_t begin = 0; begin < width; begin += static_cast<int64_t>(blockDim.x) * kCount) {
    FeatureColumns columns{begin + static_cast<int64_t>(threadIdx.x) * kCount, 0, {}, {}};
    columns.live = live_columns(width, columns.column, kCount);
    if (pass.table != nullptr) {
      const Stored* table = on_device(static_cast<const Stored*>(pass.table)) +
                            codes.feature * pass.table_stride + columns.column;
      const auto row = load_columns<kCount>(table, columns.live);
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        columns.own[i] = row.number(i);
      }
    }
    begin_gradient(pass, codes.feature, columns);
    if (pass.table != nullptr) {
      add_tokens<true>(pass, codes, staged, columns);
    } else {
      add_tokens<false>(pass, codes, staged, columns);
    }
    sink.take(pass, codes.feature, columns);
  }
}

template <typename Stored, typename Sink>
__global__ void __launch_bounds__(kMostThreads, kBlocks)
    feature_kernel(const CudaFeaturePasses work, const Sink sink) {
  __shared__ StagedCodes staged;
  const CudaFeatureGroup group = work.groups[blockIdx.y];
  const int64_t feature = blockIdx.x;
  const int64_t* offsets = on_device(group.offsets) + feature;
  const FeatureCodes codes{feature, offsets[0], offsets[1] - offsets[0]};
  for (int64_t p = 0; p < group.pass_count; ++p) {
    const CudaFeaturePass& pass = work.passes[group.first_pass + p];
    if (Sink::kTakesSilent || codes.count > 0 || pass.start != nullptr) {
      run_pass<Stored>(pass, codes, work.columns, staged, sink);
    }
  }
}

template <typename Stored, typename Sink>
cudaError_t launch(const CudaFeaturePasses& work, const Sink& sink, cudaStream_t stream) {
  if (work.features > kMostBlocks || work.group_count > kMostRows) {
    return cudaErrorInvalidValue;
  }
  const auto pieces = cut_columns(work.columns, kCount, kMostThreads);
  const dim3 grid(static_cast<unsigned>(work.features), static_cast<unsigned>(work.group_count));
  feature_kernel<Stored, Sink>
      <<<grid, static_cast<unsigned>(pieces.threads), 0, stream>>>(work, sink);
  return cudaGetLastError();
}

template <typename Stored>
cudaError_t launch_stored(const CudaFeaturePasses& work, cudaStream_t stream) {
  if (work.adam != nullptr) {
    return launch<Stored>(work, ApplyAdam{work.adam}, stream);
  }
  return launch<Stored>(work, AddToGradient{}, stream);
}

}  // namespace

cudaError_t run_feature_passes_cuda(const CudaFeaturePasses& work, cudaStream_t stream) {
  if (work.features == 0 || work.columns == 0 || work.group_count == 0) {
    return cudaSuccess;
  }
  switch (work.table_type) {
    case CudaNumber::kFloat:
      return launch_stored<float>(work, stream);
    case CudaNumber::kHalf:
      return launch_stored<HalfBits>(work, stream);
    case CudaNumber::kByte:
      break;
  }
  return cudaErrorInvalidValue;
}

}  // namespace crossloom::architectures::kernels
