// The CUDA part: libcrossloom_cuda.so, found beside the program and loaded when a run asks for
// `device: cuda`. The program itself links no CUDA, so one binary runs on a bare laptop and on a
// GPU node. The part is reached through one table of functions; all of them report failure by a
// text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/communicator.h"

namespace crossloom {

/// Bumped when the table changes; program and part must agree.
inline constexpr int kCudaPartVersion = 1;

/// Null-terminated text of the failure, or nullptr for success; valid until the thread's next call.
using CudaFailure = const char*;

struct CudaPartTable {
  int version;
  /// GPUs this process sees; 0 without a driver.
  int (*device_count)();
  /// An NCCL communicator over `bootstrap`'s ranks, this rank on `device`; owned by the caller.
  CudaFailure (*make_nccl)(Communicator* bootstrap, int device, Communicator** made);
  /// Twin of architectures/losses.h squared_error_backward on device memory: y, y_hat, y_hat_grad
  /// float32 [count]; adds Σ (y − ŷ)² to *squared_error (float64, device). `stream` is a
  /// cudaStream_t.
  CudaFailure (*fvu_backward)(const float* y, const float* y_hat, int64_t count, double energy,
                              float* y_hat_grad, double* squared_error, void* stream);
};

/// Where the part belongs: beside the running program.
std::string cuda_part_path();

/// Loads the part from `path`. Throws ConfigError when it was not built or does not load, naming
/// the loader's reason.
const CudaPartTable& load_cuda_part(const std::string& path);

}  // namespace crossloom
