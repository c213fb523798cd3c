// Codes by feature on the GPU: CUB's radix sort of (feature, place among the codes), which keeps
// the order of equal keys, so that a feature's tokens ascend whatever the launch looked like.
//
//   codes  offsets [T + 1], index, value [nnz]   →   lists  offsets [F + 1], token, weight, entry
//
// Capacity is fixed and nnz lies on the device: places beyond the codes get the key F and end
// behind all others. A feature's offset is where the sorted keys reach it, a code's token where the
// codes' offsets pass its place: binary searches in arrays that the L2 cache holds.
#include <cub/device/device_radix_sort.cuh>

#include "architectures/kernels/group_cuda.h"
#include "architectures/kernels/launch_cuda.cuh"

namespace crossloom::architectures::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kAlignment = 256;  // of arrays in the workspace, as CUB wants it

/// The workspace cut up.
struct Workspace {
  uint32_t* keys;         // [capacity], features in the codes' order
  uint32_t* sorted_keys;  // [capacity]
  int32_t* places;        // [capacity], 0, 1, 2 …
  void* sort;
  size_t sort_bytes;
};

__device__ int64_t own_number() {
  return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}

/// How many of the ascending numbers [count] are below `bar`.
template <typename Number>
__device__ int64_t count_below(const Number* numbers, int64_t count, Number bar) {
  int64_t first = 0;
  while (count > 0) {
    const int64_t half = count / 2;
    if (numbers[first + half] < bar) {
      first += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return first;
}

__global__ void prepare_kernel(const CudaGrouping work, Workspace space) {
  const int64_t place = own_number();
  if (place < work.capacity) {
    const bool is_code = place < work.codes.offsets[work.tokens];
    space.keys[place] = static_cast<uint32_t>(is_code ? work.codes.index[place] : work.features);
    space.places[place] = static_cast<int32_t>(place);
  }
}

__global__ void fill_lists_kernel(const CudaGrouping work) {
  const int64_t j = own_number();
  if (j < work.codes.offsets[work.tokens]) {
    const int64_t entry = work.entry[j];
    // Offsets that are at most `entry`: those of the tokens up to its own.
    const int64_t begun = count_below(work.codes.offsets, work.tokens + 1, entry + 1);
    work.token[j] = static_cast<int32_t>(begun - 1);
    work.weight[j] = work.codes.value[entry];
  }
}

__global__ void fill_offsets_kernel(const CudaGrouping work, Workspace space) {
  const int64_t feature = own_number();
  if (feature <= work.features) {
    work.list_offsets[feature] =
        count_below(space.sorted_keys, work.capacity, static_cast<uint32_t>(feature));
  }
}

/// Bits of keys up to F.
int key_bits(int64_t features) {
  int bits = 1;
  while ((features >> bits) != 0) {
    ++bits;
  }
  return bits;
}

cudaError_t sort_places(const CudaGrouping& work, const Workspace& space, size_t* sort_bytes,
                        cudaStream_t stream) {
  return cub::DeviceRadixSort::SortPairs(space.sort, *sort_bytes, space.keys, space.sorted_keys,
                                         space.places, work.entry, static_cast<int>(work.capacity),
                                         0, key_bits(work.features), stream);
}

int64_t array_bytes(int64_t capacity) {
  return divide_up(capacity * static_cast<int64_t>(sizeof(int32_t)), kAlignment) * kAlignment;
}

Workspace cut_workspace(const CudaGrouping& work) {
  auto* at = static_cast<char*>(work.workspace);
  const int64_t array = array_bytes(work.capacity);
  return {reinterpret_cast<uint32_t*>(at), reinterpret_cast<uint32_t*>(at + array),
          reinterpret_cast<int32_t*>(at + 2 * array), at + 3 * array,
          static_cast<size_t>(work.workspace_bytes - 3 * array)};
}

unsigned blocks_for(int64_t threads) {
  return static_cast<unsigned>(divide_up(threads, kThreads));
}

}  // namespace

cudaError_t group_workspace_cuda(int64_t capacity, int64_t features, int64_t* size_bytes) {
  if (capacity > kMostInt32 || features >= kMostInt32) {
    return cudaErrorInvalidValue;
  }
  CudaGrouping work{};
  work.capacity = capacity;
  work.features = features;
  size_t sort_bytes = 0;
  const cudaError_t code = sort_places(work, Workspace{}, &sort_bytes, nullptr);
  *size_bytes = 3 * array_bytes(capacity) + static_cast<int64_t>(sort_bytes);
  return code;
}

cudaError_t group_by_feature_cuda(const CudaGrouping& work, cudaStream_t stream) {
  if (work.capacity > kMostInt32 || work.features >= kMostInt32 ||
      work.workspace_bytes < 3 * array_bytes(work.capacity)) {
    return cudaErrorInvalidValue;
  }
  Workspace space = cut_workspace(work);
  if (work.capacity > 0) {
    prepare_kernel<<<blocks_for(work.capacity), kThreads, 0, stream>>>(work, space);
    const cudaError_t code = sort_places(work, space, &space.sort_bytes, stream);
    if (code != cudaSuccess) {
      return code;
    }
    fill_lists_kernel<<<blocks_for(work.capacity), kThreads, 0, stream>>>(work);
  }
  fill_offsets_kernel<<<blocks_for(work.features + 1), kThreads, 0, stream>>>(work, space);
  return cudaGetLastError();
}

}  // namespace crossloom::architectures::kernels
