// The entry of libcrossloom_cuda.so: the table that common/cuda_part.h describes. Exceptions end
// here; across the boundary travels text.
#include <cuda_runtime_api.h>

#include "architectures/kernels/fvu_cuda.h"
#include "common/cuda_part.h"
#include "common/nccl_backend.h"

namespace crossloom {
namespace {

thread_local std::string last_failure;

CudaFailure fail(const std::string& text) {
  last_failure = text;
  return last_failure.c_str();
}

int device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

CudaFailure make_nccl(Communicator* bootstrap, int device, Communicator** made) {
  try {
    *made = make_nccl_communicator(*bootstrap, device).release();
    return nullptr;
  } catch (const std::exception& error) {
    return fail(error.what());
  }
}

CudaFailure fvu_backward(const float* y, const float* y_hat, int64_t count, double energy,
                         float* y_hat_grad, double* squared_error, void* stream) {
  const cudaError_t code = architectures::fvu_backward_cuda(
      y, y_hat, count, energy, y_hat_grad, squared_error, static_cast<cudaStream_t>(stream));
  return code == cudaSuccess ? nullptr : fail(cudaGetErrorString(code));
}

}  // namespace
}  // namespace crossloom

extern "C" const crossloom::CudaPartTable* crossloom_cuda_part() {
  static const crossloom::CudaPartTable table{crossloom::kCudaPartVersion, crossloom::device_count,
                                              crossloom::make_nccl, crossloom::fvu_backward};
  return &table;
}
