// The CUDA part: libcrossloom_cuda.so, found beside the program and loaded when a run asks for
// `device: cuda`. The program itself links no CUDA, so one binary runs on a bare laptop and on a
// GPU node. The part is reached through one table of functions; all of them report failure by a
// text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/communicator.h"
#include "common/cuda_work.h"

namespace crossloom {

/// Bumped when the table changes; program and part must agree.
inline constexpr int kCudaPartVersion = 2;

/// Null-terminated text of the failure, or nullptr for success; valid until the thread's next call.
using CudaFailure = const char*;

/// Streams are cudaStream_t (null: the default one), events cudaEvent_t. Kernels are enqueued on
/// their stream and allocate and await nothing; their works' pointers are to device memory.
struct CudaPartTable {
  int version;
  /// GPUs this process sees; 0 without a driver.
  int (*device_count)();
  /// An NCCL communicator over `bootstrap`'s ranks, this rank on `device`; owned by the caller.
  CudaFailure (*make_nccl)(Communicator* bootstrap, int device, Communicator** made);

  // Memory and time of the current device: what tests and benchmarks need.
  CudaFailure (*allocate)(int64_t size_bytes, void** made);
  CudaFailure (*release)(void* memory);
  /// Either side may be host memory, which is free to change once `await` has returned.
  CudaFailure (*copy)(void* to, const void* from, int64_t size_bytes, void* stream);
  /// Returns when all that was enqueued is done.
  CudaFailure (*await)(void* stream);
  CudaFailure (*make_event)(void** made);
  CudaFailure (*release_event)(void* event);
  CudaFailure (*record_event)(void* event, void* stream);
  /// Between two recorded events; waits for the later one.
  CudaFailure (*elapsed_s)(void* earlier, void* later, double* seconds);

  /// Twin of architectures/losses.h squared_error_backward on device memory: y, y_hat, y_hat_grad
  /// float32 [count]; adds Σ (y − ŷ)² to *squared_error (float64, device).
  CudaFailure (*fvu_backward)(const float* y, const float* y_hat, int64_t count, double energy,
                              float* y_hat_grad, double* squared_error, void* stream);
  /// architectures/kernels/decode_cuda.h, feature_pass_cuda.h, group_cuda.h, best_of_row_cuda.h
  CudaFailure (*decode)(const CudaDecode& work, void* stream);
  CudaFailure (*feature_passes)(const CudaFeaturePasses& work, void* stream);
  CudaFailure (*group_workspace)(int64_t capacity, int64_t features, int64_t* size_bytes);
  CudaFailure (*group_by_feature)(const CudaGrouping& work, void* stream);
  CudaFailure (*best_of_rows)(const CudaBestOfRow& work, void* stream);
  /// trainer/adam_cuda.h
  CudaFailure (*adam_stretch)(const CudaAdamStretch& work, void* stream);
  CudaFailure (*adam_stored)(const CudaStoredStretch& work, void* stream);
};

/// Where the part belongs: beside the running program.
std::string cuda_part_path();

/// Loads the part from `path`. Throws ConfigError when it was not built or does not load, naming
/// the loader's reason.
const CudaPartTable& load_cuda_part(const std::string& path);

}  // namespace crossloom
