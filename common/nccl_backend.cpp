// See nccl_backend.h. Every collective is enqueued on one stream of its own and waited for, so that
// callers see the same blocking contract as with MPI; overlap comes with the fast step.
#include "common/nccl_backend.h"

#include <cuda_runtime_api.h>
#include <nccl.h>

#include "common/handle.h"

namespace crossloom {
namespace {

void check(cudaError_t code, const char* call) {
  if (code != cudaSuccess) {
    throw DistError({.what = "A CUDA call failed",
                     .expected = "cudaSuccess",
                     .got = cudaGetErrorString(code),
                     .where = call,
                     .hint = "Check the driver and that each rank has a GPU of its own."});
  }
}

void check(ncclResult_t code, const char* call) {
  if (code != ncclSuccess) {
    throw DistError(
        {.what = "An NCCL call failed",
         .expected = "ncclSuccess",
         .got = fmt::format("{}; {}", ncclGetErrorString(code), ncclGetLastError(nullptr)),
         .where = call,
         .hint = "Set NCCL_DEBUG=INFO and look at the first rank that complains."});
  }
}

#define CROSSLOOM_CUDA(call) check((call), #call)

ncclDataType_t nccl_type(DType type) {
  switch (type) {
    case DType::kF64:
      return ncclFloat64;
    case DType::kF32:
      return ncclFloat32;
    case DType::kBF16:
      return ncclBfloat16;
    case DType::kI64:
      return ncclInt64;
    case DType::kU64:
      return ncclUint64;
    case DType::kI32:
      return ncclInt32;
    default:
      CROSSLOOM_CHECK(false, "no NCCL type for {}", dtype_info(type).name);
  }
}

ncclRedOp_t nccl_op(ReduceOp op) {
  return op == ReduceOp::kSum ? ncclSum : op == ReduceOp::kMax ? ncclMax : ncclMin;
}

struct DestroyStream {
  void operator()(cudaStream_t stream) const noexcept { cudaStreamDestroy(stream); }
};
struct DestroyComm {
  void operator()(ncclComm_t comm) const noexcept { ncclCommDestroy(comm); }
};

class NcclCommunicator : public Communicator {
 public:
  NcclCommunicator(Communicator& bootstrap, int device)
      : rank_(bootstrap.rank()), size_(bootstrap.size()) {
    CROSSLOOM_CUDA(cudaSetDevice(device));
    ncclUniqueId id{};
    if (rank_ == 0) {
      CROSSLOOM_CUDA(ncclGetUniqueId(&id));
    }
    bootstrap.broadcast(&id, sizeof(id), 0);
    cudaStream_t stream = nullptr;
    CROSSLOOM_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    stream_ = UniqueHandle<cudaStream_t, DestroyStream>(stream);
    ncclComm_t comm = nullptr;
    CROSSLOOM_CUDA(ncclCommInitRank(&comm, size_, id, rank_));
    comm_ = UniqueHandle<ncclComm_t, DestroyComm>(comm);
    void* token = nullptr;
    CROSSLOOM_CUDA(cudaMalloc(&token, sizeof(int32_t)));
    barrier_token_ = UniqueHandle<void*, FreeDevice>(token);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const char* backend() const override { return "nccl"; }

  void barrier() override { all_reduce(barrier_token_.get(), 1, DType::kI32, ReduceOp::kMax); }

  void all_reduce(void* data, int64_t count, DType type, ReduceOp op) override {
    CROSSLOOM_CUDA(ncclAllReduce(data, data, size_t(count), nccl_type(type), nccl_op(op),
                                 comm_.get(), stream_.get()));
    wait();
  }
  void broadcast(void* data, int64_t size_bytes, int root) override {
    CROSSLOOM_CUDA(
        ncclBroadcast(data, data, size_t(size_bytes), ncclUint8, root, comm_.get(), stream_.get()));
    wait();
  }
  void all_gather_v(const void* send, void* receive, std::span<const int64_t> sizes) override {
    auto* to = static_cast<char*>(receive);
    CROSSLOOM_CUDA(ncclGroupStart());
    for (int r = 0; r < size_; ++r) {
      CROSSLOOM_CUDA(ncclBroadcast(send, to, size_t(sizes[size_t(r)]), ncclUint8, r, comm_.get(),
                                   stream_.get()));
      to += sizes[size_t(r)];
    }
    CROSSLOOM_CUDA(ncclGroupEnd());
    wait();
  }
  void all_to_all_v(const void* send, std::span<const int64_t> sizes_out, void* receive,
                    std::span<const int64_t> sizes_in) override {
    const auto* from = static_cast<const char*>(send);
    auto* to = static_cast<char*>(receive);
    CROSSLOOM_CUDA(ncclGroupStart());
    for (int r = 0; r < size_; ++r) {
      CROSSLOOM_CUDA(
          ncclSend(from, size_t(sizes_out[size_t(r)]), ncclUint8, r, comm_.get(), stream_.get()));
      CROSSLOOM_CUDA(
          ncclRecv(to, size_t(sizes_in[size_t(r)]), ncclUint8, r, comm_.get(), stream_.get()));
      from += sizes_out[size_t(r)];
      to += sizes_in[size_t(r)];
    }
    CROSSLOOM_CUDA(ncclGroupEnd());
    wait();
  }
  void reduce_scatter(const void* send, void* receive, int64_t count_each, DType type,
                      ReduceOp op) override {
    CROSSLOOM_CUDA(ncclReduceScatter(send, receive, size_t(count_each), nccl_type(type),
                                     nccl_op(op), comm_.get(), stream_.get()));
    wait();
  }

 private:
  struct FreeDevice {
    void operator()(void* memory) const noexcept { cudaFree(memory); }
  };
  void wait() { CROSSLOOM_CUDA(cudaStreamSynchronize(stream_.get())); }

  int rank_;
  int size_;
  UniqueHandle<cudaStream_t, DestroyStream> stream_;  // outlives the communicator that uses it
  UniqueHandle<ncclComm_t, DestroyComm> comm_;
  UniqueHandle<void*, FreeDevice> barrier_token_;
};

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(Communicator& bootstrap, int device) {
  return std::make_unique<NcclCommunicator>(bootstrap, device);
}

}  // namespace crossloom
