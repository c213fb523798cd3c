// The MPI back end: CPU memory, one process per rank. MPI 3.1 counts are int, so every call is
// split into pieces below 2^30 elements or bytes.
#include <mpi.h>

#include <algorithm>

#include "common/mpi_environment.h"
#include "common/reduce.h"

namespace crossloom {
namespace {

constexpr int64_t kPiece = int64_t{1} << 30;

MPI_Datatype mpi_type(DType type) {
  switch (type) {
    case DType::kF64:
      return MPI_DOUBLE;
    case DType::kF32:
      return MPI_FLOAT;
    case DType::kI64:
      return MPI_INT64_T;
    case DType::kU64:
      return MPI_UINT64_T;
    case DType::kI32:
      return MPI_INT32_T;
    default:
      CROSSLOOM_CHECK(false, "no MPI type for {}", dtype_info(type).name);
  }
}

MPI_Op mpi_op(ReduceOp op) {
  return op == ReduceOp::kSum ? MPI_SUM : op == ReduceOp::kMax ? MPI_MAX : MPI_MIN;
}

class MpiCommunicator : public Communicator {
 public:
  MpiCommunicator() {
    CROSSLOOM_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &comm_));
    CROSSLOOM_MPI(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN));
    CROSSLOOM_MPI(MPI_Comm_rank(comm_, &rank_));
    CROSSLOOM_MPI(MPI_Comm_size(comm_, &size_));
  }
  ~MpiCommunicator() override {
    int finalized = 0;
    if (MPI_Finalized(&finalized) == MPI_SUCCESS && finalized == 0) {
      MPI_Comm_free(&comm_);
    }
  }
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const char* backend() const override { return "mpi"; }
  void barrier() override { CROSSLOOM_MPI(MPI_Barrier(comm_)); }

  void all_reduce(void* data, int64_t count, DType type, ReduceOp op) override {
    if (type == DType::kBF16) {
      all_reduce_bf16(static_cast<uint16_t*>(data), count, op);
      return;
    }
    auto* bytes = static_cast<char*>(data);
    const int64_t width_bytes = dtype_info(type).size_bytes;
    for (int64_t done = 0; done < count; done += kPiece) {
      const int piece = int(std::min(kPiece, count - done));
      CROSSLOOM_MPI(MPI_Allreduce(MPI_IN_PLACE, bytes + done * width_bytes, piece, mpi_type(type),
                                  mpi_op(op), comm_));
    }
  }

  void broadcast(void* data, int64_t size_bytes, int root) override {
    for (int64_t done = 0; done < size_bytes; done += kPiece) {
      CROSSLOOM_MPI(MPI_Bcast(static_cast<char*>(data) + done,
                              int(std::min(kPiece, size_bytes - done)), MPI_BYTE, root, comm_));
    }
  }

  void all_gather_v(const void* send, void* receive, std::span<const int64_t> sizes) override {
    const int64_t longest = *std::max_element(sizes.begin(), sizes.end());
    const int64_t total = offset_of(sizes, size_);
    char* own = static_cast<char*>(receive) + offset_of(sizes, rank_);
    if (total < kPiece) {
      std::vector<int> counts, offsets;
      for (int r = 0; r < size_; ++r) {
        counts.push_back(int(sizes[size_t(r)]));
        offsets.push_back(int(offset_of(sizes, r)));
      }
      CROSSLOOM_MPI(MPI_Allgatherv(send == own ? MPI_IN_PLACE : send, counts[size_t(rank_)],
                                   MPI_BYTE, receive, counts.data(), offsets.data(), MPI_BYTE,
                                   comm_));
      return;
    }
    auto* to = static_cast<char*>(receive);  // beyond int offsets: one broadcast per rank
    if (send != own) {
      std::copy_n(static_cast<const char*>(send), sizes[size_t(rank_)], own);
    }
    for (int r = 0; longest > 0 && r < size_; ++r) {
      broadcast(to + offset_of(sizes, r), sizes[size_t(r)], r);
    }
  }

  void all_to_all_v(const void* send, std::span<const int64_t> sizes_out, void* receive,
                    std::span<const int64_t> sizes_in) override {
    constexpr int kTag = 7;
    std::vector<MPI_Request> requests;
    for (int r = 0; r < size_; ++r) {
      post_pieces(static_cast<char*>(receive) + offset_of(sizes_in, r), sizes_in[size_t(r)],
                  [&](char* at, int count) {
                    requests.emplace_back();
                    CROSSLOOM_MPI(MPI_Irecv(at, count, MPI_BYTE, r, kTag, comm_, &requests.back()));
                  });
    }
    for (int r = 0; r < size_; ++r) {
      post_pieces(const_cast<char*>(static_cast<const char*>(send)) + offset_of(sizes_out, r),
                  sizes_out[size_t(r)], [&](char* at, int count) {
                    requests.emplace_back();
                    CROSSLOOM_MPI(MPI_Isend(at, count, MPI_BYTE, r, kTag, comm_, &requests.back()));
                  });
    }
    CROSSLOOM_MPI(MPI_Waitall(int(requests.size()), requests.data(), MPI_STATUSES_IGNORE));
  }

  void reduce_scatter(const void* send, void* receive, int64_t count_each, DType type,
                      ReduceOp op) override {
    const int64_t width_bytes = dtype_info(type).size_bytes;
    if (type != DType::kBF16 && count_each < kPiece / size_) {
      CROSSLOOM_MPI(MPI_Reduce_scatter_block(send, receive, int(count_each), mpi_type(type),
                                             mpi_op(op), comm_));
      return;
    }
    std::vector<char> all(static_cast<const char*>(send),
                          static_cast<const char*>(send) + size_ * count_each * width_bytes);
    all_reduce(all.data(), size_ * count_each, type, op);
    std::copy_n(all.data() + rank_ * count_each * width_bytes, count_each * width_bytes,
                static_cast<char*>(receive));
  }

 private:
  static int64_t offset_of(std::span<const int64_t> sizes, int r) {
    int64_t offset = 0;
    for (int q = 0; q < r; ++q) {
      offset += sizes[size_t(q)];
    }
    return offset;
  }

  template <typename F>
  static void post_pieces(char* data, int64_t size_bytes, F&& post) {
    for (int64_t done = 0; done < size_bytes; done += kPiece) {
      post(data + done, int(std::min(kPiece, size_bytes - done)));
    }
  }

  void all_reduce_bf16(uint16_t* bits, int64_t count, ReduceOp op) {
    std::vector<float> wide(size_t(std::min(count, kPiece)));
    for (int64_t done = 0; done < count; done += kPiece) {
      const int64_t piece = std::min(kPiece, count - done);
      std::transform(bits + done, bits + done + piece, wide.begin(), bf16_to_float);
      all_reduce(wide.data(), piece, DType::kF32, op);
      std::transform(wide.begin(), wide.begin() + piece, bits + done, float_to_bf16);
    }
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator() {
  return std::make_unique<MpiCommunicator>();
}

}  // namespace crossloom
