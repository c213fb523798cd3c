// One interface for ranks that work together; the back end is chosen at run time:
//   single  a world of one: copies and no-ops      thread  ranks are threads of one process (tests)
//   mpi     CPU memory, one process per rank        nccl    device memory (libcrossloom_cuda.so)
//
// Counts are int64 everywhere; back ends split them below their own limits. bf16 has no MPI type:
// it is widened to float32, reduced there and rounded once. All members are collective: every
// rank calls them in the same order. Failures throw DistError.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/dtype.h"
#include "common/error.h"

namespace crossloom {

enum class ReduceOp : uint8_t { kSum, kMax, kMin };

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual const char* backend() const = 0;

  virtual void barrier() = 0;
  /// In place over `count` elements of `type` (F64, F32, BF16, I64, I32, U64).
  virtual void all_reduce(void* data, int64_t count, DType type, ReduceOp op) = 0;
  virtual void broadcast(void* data, int64_t size_bytes, int root) = 0;
  /// receive: [R][bytes of each rank], in rank order; `sizes_bytes[r]` is what rank r sends. `send`
  /// may be this rank's own place in `receive`.
  virtual void all_gather_v(const void* send, void* receive,
                            std::span<const int64_t> sizes_bytes) = 0;
  /// Rank r's block of `send` ([R] blocks of `sizes_bytes_out[r]`) goes to rank r; what rank r
  /// sent arrives as block r of `receive` ([R] blocks of `sizes_bytes_in[r]`).
  virtual void all_to_all_v(const void* send, std::span<const int64_t> sizes_bytes_out,
                            void* receive, std::span<const int64_t> sizes_bytes_in) = 0;
  /// receive = block `rank()` of the element-wise reduction of `send` ([R] blocks of count_each).
  virtual void reduce_scatter(const void* send, void* receive, int64_t count_each, DType type,
                              ReduceOp op) = 0;

  /// Equal blocks: receive is [R][size_bytes], `send` as above.
  void all_gather(const void* send, void* receive, int64_t size_bytes);

  float sum(float value) { return reduced(value, DType::kF32, ReduceOp::kSum); }
  double sum(double value) { return reduced(value, DType::kF64, ReduceOp::kSum); }
  int64_t sum(int64_t value) { return reduced(value, DType::kI64, ReduceOp::kSum); }
  int64_t max(int64_t value) { return reduced(value, DType::kI64, ReduceOp::kMax); }
  int64_t min(int64_t value) { return reduced(value, DType::kI64, ReduceOp::kMin); }

  /// Runs what may fail on one rank only (files, configuration), then lets all ranks agree: the
  /// failing rank rethrows its own error, the others throw DistError naming it. Without this they
  /// would wait for ever in their next collective.
  void agree(const std::function<void()>& work);

 private:
  template <typename T>
  T reduced(T value, DType type, ReduceOp op) {
    all_reduce(&value, 1, type, op);
    return value;
  }
};

/// A world of one.
std::unique_ptr<Communicator> make_single_communicator();

/// Runs `body` once per rank, each in its own thread with a thread communicator. A rank that
/// throws releases the others, which then throw DistError; the first error that is no DistError is
/// rethrown, so that the cause is seen, else the first DistError.
void run_ranks_as_threads(int rank_count, const std::function<void(Communicator&)>& body);

/// MPI over all processes of the job; MPI must be initialised (MpiEnvironment).
std::unique_ptr<Communicator> make_mpi_communicator();

}  // namespace crossloom
