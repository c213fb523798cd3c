// Adam on the GPU where weights or moments are stored in fewer bytes than float32, one pass:
// decode, update in float32, encode, rounding stochastically. 12 bytes of traffic per element with
// all in bfloat16, 8 with 8-bit moments, and 4 for the gradient.
//
//   w ← w − step_size · m / (max(√v, |m| / √C) · root + ε)        1/C = smallest_second
//
// 16 threads have a block of 64 elements, four each, and find its scales by shuffles; without a
// gradient a block of bytes keeps its codes. A function of element, its block's beginning and key:
// the bits do not depend on how stretches are cut.
#include "architectures/kernels/launch_cuda.cuh"
#include "trainer/adam_cuda.h"
#include "trainer/state_block.h"
#include "trainer/stored_number_cuda.cuh"

namespace crossloom::trainer {
namespace {

namespace kernels = architectures::kernels;

constexpr int kThreads = 256;
constexpr int kCount = 4;  // elements of a thread
constexpr int kThreadsOfBlock = static_cast<int>(kStateBlock) / kCount;

/// One thread's elements: `live` of them from `begin` of the stretch, in state block `block`.
struct Elements {
  int64_t begin;
  int64_t block;
  int live;
};

/// Blocks end with rows; `rows` is 1 where none ends inside a block, which spares a division.
__device__ Elements own_elements(const CudaStoredStretch& work, int64_t rows) {
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t block = thread / kThreadsOfBlock;
  const int64_t width = rows == 1 ? work.count : work.row;
  const int64_t blocks_per_row = kernels::divide_up(width, kStateBlock);
  const int64_t row = rows == 1 ? 0 : block / blocks_per_row;
  const int64_t column =
      (block - row * blocks_per_row) * kStateBlock + thread % kThreadsOfBlock * kCount;
  const int live = row < rows ? kernels::live_columns(width, column, kCount) : 0;
  return {row * width + column, block, live};
}

__device__ float largest_of_block(const float (&values)[kCount]) {
  float largest = 0.0F;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    largest = fmaxf(largest, fabsf(values[i]));
  }
#pragma unroll
  for (int lane = kThreadsOfBlock / 2; lane > 0; lane /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFU, largest, lane));
  }
  return largest;
}

/// Zeros beyond what is live.
template <typename Number>
__device__ void load_stored(const void* from, const float* scales, const Elements& own,
                            float (&values)[kCount]) {
  float unit = 0.0F;
  if constexpr (Number::kScaled) {
    unit = own.live > 0 ? __fdiv_rn(scales[own.block], Number::kMost) : 0.0F;
  }
  const auto stored = kernels::load_columns<kCount>(
      static_cast<const typename Number::Stored*>(from) + own.begin, own.live);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    values[i] = Number::decode(stored.bits(i), unit);
  }
}

/// All threads of the warp take part. `silent`: the block has no gradient, a moment shrinks by
/// `beta`.
template <typename Number>
__device__ void store_stored(const float (&values)[kCount], const Random (&random)[kCount],
                             bool silent, float beta, void* to, float* scales,
                             const Elements& own) {
  float per_unit = 0.0F;
  if constexpr (Number::kScaled) {
    float scale = __fmul_rn(largest_of_block(values), Number::kScalePerLargest);
    if (silent && own.live > 0) {
      const float old = scales[own.block];
      scale = old > kTiny ? __fmul_rn(old, beta) : 0.0F;
    }
    per_unit = scale > kTiny ? __fdiv_rn(Number::kMost, scale) : 0.0F;
    __syncwarp();  // the block's threads have read the old scale
    if (own.live > 0 && threadIdx.x % kThreadsOfBlock == 0) {
      scales[own.block] = scale;
    }
    if (silent) {
      return;
    }
  }
  kernels::Columns<typename Number::Stored, kCount> stored{};
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    stored.set_bits(i, Number::encode(values[i], per_unit, random[i]));
  }
  kernels::store_columns(stored, static_cast<typename Number::Stored*>(to) + own.begin, own.live);
}

/// Moments and the weight's move of one element. m and v: before, then after; the move is
/// returned. Without a first moment m is the gradient.
__device__ float update_moments(float gradient, bool has_first, const CudaStoredAdam& c, float& m,
                                float& v) {
  const CudaAdam& adam = c.adam;
  const float g = __fmul_rn(gradient, adam.scale);
  m = has_first ? fmaf(adam.beta1, m, __fmul_rn(adam.rest1, g)) : g;
  v = fmaf(__fmul_rn(adam.rest2, g), g, fmaf(adam.beta2, v, kTiny));
  const float root = fmaxf(__fsqrt_rn(v), __fmul_rn(fabsf(m), __fsqrt_rn(c.smallest_second)));
  const float below = fmaf(root, adam.root, adam.epsilon);
  return __fdiv_rn(__fmul_rn(adam.step_size, m), fmaxf(below, kTiny));
}

template <typename Weight, typename First, typename Second>
__global__ void __launch_bounds__(kThreads)
    stored_kernel(const CudaStoredStretch work, const int64_t rows) {
  const Elements own = own_elements(work, rows);
  const CudaStoredAdam c = *work.coefficients;
  const bool has_first = work.first != nullptr;
  float g[kCount];
  float w[kCount];
  float m[kCount] = {};
  float v[kCount];
  kernels::load_numbers(work.gradient + own.begin, own.live, g);
  load_stored<Weight>(work.weights, nullptr, own, w);
  load_stored<Second>(work.second, work.second_scales, own, v);
  if (has_first) {
    load_stored<First>(work.first, work.first_scales, own, m);
  }
  const bool silent = Second::kScaled && largest_of_block(g) == 0.0F;
  const int place = static_cast<int>(threadIdx.x) % kThreadsOfBlock * kCount;
  Random random[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    w[i] = __fsub_rn(w[i], update_moments(g[i], has_first, c, m[i], v[i]));
    random[i] = random_of(c.key, work.element + own.begin - place, place + i);
  }
  store_stored<Weight>(w, random, false, 1.0F, work.weights, nullptr, own);
  store_stored<Second>(v, random, silent, c.adam.beta2, work.second, work.second_scales, own);
  if (has_first) {
    store_stored<First>(m, random, silent, c.adam.beta1, work.first, work.first_scales, own);
  }
}

template <typename Weight, typename First, typename Second>
cudaError_t launch(const CudaStoredStretch& work, cudaStream_t stream) {
  const int64_t rows = work.row % kStateBlock == 0 ? 1 : work.count / work.row;
  const int64_t width = rows == 1 ? work.count : work.row;
  const int64_t state_blocks = rows * kernels::divide_up(width, kStateBlock);
  const int64_t blocks = kernels::divide_up(state_blocks * kThreadsOfBlock, kThreads);
  if (blocks > kernels::kMostBlocks) {
    return cudaErrorInvalidValue;
  }
  stored_kernel<Weight, First, Second>
      <<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(work, rows);
  return cudaGetLastError();
}

template <typename Weight>
cudaError_t launch_states(const CudaStoredStretch& work, cudaStream_t stream) {
  switch (work.state_type) {
    case CudaNumber::kFloat:
      return launch<Weight, FloatNumber, FloatNumber>(work, stream);
    case CudaNumber::kHalf:
      return launch<Weight, HalfNumber, HalfNumber>(work, stream);
    case CudaNumber::kByte:
      return launch<Weight, SignedByte, UnsignedByte>(work, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace

cudaError_t adam_stored_cuda(const CudaStoredStretch& work, cudaStream_t stream) {
  if (work.count == 0) {
    return cudaSuccess;
  }
  if (work.row < 1 || work.count % work.row != 0) {
    return cudaErrorInvalidValue;
  }
  switch (work.weight_type) {
    case CudaNumber::kFloat:
      return launch_states<FloatNumber>(work, stream);
    case CudaNumber::kHalf:
      return launch_states<HalfNumber>(work, stream);
    case CudaNumber::kByte:
      break;
  }
  return cudaErrorInvalidValue;
}

}  // namespace crossloom::trainer
