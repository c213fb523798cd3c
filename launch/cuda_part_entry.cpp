// The entry of libcrossloom_cuda.so: the table that common/cuda_part.h describes. Exceptions end
// here; across the boundary travels text.
#include <cuda_runtime_api.h>

#include "architectures/kernels/best_of_row_cuda.h"
#include "architectures/kernels/decode_cuda.h"
#include "architectures/kernels/feature_pass_cuda.h"
#include "architectures/kernels/fvu_cuda.h"
#include "architectures/kernels/group_cuda.h"
#include "common/cuda_part.h"
#include "common/nccl_backend.h"
#include "trainer/adam_cuda.h"

namespace crossloom {
namespace {

namespace kernels = architectures::kernels;

thread_local std::string last_failure;

CudaFailure fail(const std::string& text) {
  last_failure = text;
  return last_failure.c_str();
}

CudaFailure report(cudaError_t code) {
  return code == cudaSuccess ? nullptr : fail(cudaGetErrorString(code));
}

cudaStream_t as_stream(void* stream) {
  return static_cast<cudaStream_t>(stream);
}

cudaEvent_t as_event(void* event) {
  return static_cast<cudaEvent_t>(event);
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

CudaFailure allocate(int64_t size_bytes, void** made) {
  return report(cudaMalloc(made, static_cast<size_t>(size_bytes)));
}

CudaFailure release(void* memory) {
  return report(cudaFree(memory));
}

CudaFailure copy(void* to, const void* from, int64_t size_bytes, void* stream) {
  return report(cudaMemcpyAsync(to, from, static_cast<size_t>(size_bytes), cudaMemcpyDefault,
                                as_stream(stream)));
}

CudaFailure await(void* stream) {
  return report(cudaStreamSynchronize(as_stream(stream)));
}

CudaFailure make_event(void** made) {
  cudaEvent_t event = nullptr;
  const CudaFailure failure = report(cudaEventCreate(&event));
  *made = event;
  return failure;
}

CudaFailure release_event(void* event) {
  return report(cudaEventDestroy(as_event(event)));
}

CudaFailure record_event(void* event, void* stream) {
  return report(cudaEventRecord(as_event(event), as_stream(stream)));
}

CudaFailure elapsed_s(void* earlier, void* later, double* seconds) {
  float milliseconds = 0.0F;
  cudaError_t code = cudaEventSynchronize(as_event(later));
  if (code == cudaSuccess) {
    code = cudaEventElapsedTime(&milliseconds, as_event(earlier), as_event(later));
  }
  *seconds = static_cast<double>(milliseconds) * 1e-3;
  return report(code);
}

CudaFailure fvu_backward(const float* y, const float* y_hat, int64_t count, double energy,
                         float* y_hat_grad, double* squared_error, void* stream) {
  return report(architectures::fvu_backward_cuda(y, y_hat, count, energy, y_hat_grad, squared_error,
                                                 as_stream(stream)));
}

CudaFailure group_workspace(int64_t capacity, int64_t features, int64_t* size_bytes) {
  return report(kernels::group_workspace_cuda(capacity, features, size_bytes));
}

/// A kernel's launcher as the table has it.
template <typename Work, cudaError_t (*kLaunch)(const Work&, cudaStream_t)>
CudaFailure enqueue(const Work& work, void* stream) {
  return report(kLaunch(work, as_stream(stream)));
}

}  // namespace
}  // namespace crossloom

extern "C" const crossloom::CudaPartTable* crossloom_cuda_part() {
  using namespace crossloom;
  static const CudaPartTable table{
      .version = kCudaPartVersion,
      .device_count = device_count,
      .make_nccl = make_nccl,
      .allocate = allocate,
      .release = release,
      .copy = copy,
      .await = await,
      .make_event = make_event,
      .release_event = release_event,
      .record_event = record_event,
      .elapsed_s = elapsed_s,
      .fvu_backward = fvu_backward,
      .decode = enqueue<CudaDecode, kernels::run_decode_cuda>,
      .feature_passes = enqueue<CudaFeaturePasses, kernels::run_feature_passes_cuda>,
      .group_workspace = group_workspace,
      .group_by_feature = enqueue<CudaGrouping, kernels::group_by_feature_cuda>,
      .best_of_rows = enqueue<CudaBestOfRow, kernels::best_of_rows_cuda>,
      .adam_stretch = enqueue<CudaAdamStretch, trainer::adam_stretch_cuda>,
      .adam_stored = enqueue<CudaStoredStretch, trainer::adam_stored_cuda>};
  return &table;
}
