// A world of one: nothing to wait for, nothing to add; the copies the interface promises.
#include <cstring>

#include "common/reduce.h"

namespace crossloom {
namespace {

class SingleCommunicator : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  const char* backend() const override { return "single"; }
  void barrier() override {}
  void all_reduce(void*, int64_t, DType type, ReduceOp) override {
    detail::require_reducible(type);
  }
  void broadcast(void*, int64_t, int root) override {
    CROSSLOOM_CHECK(root == 0, "root {} of 1", root);
  }
  void all_gather_v(const void* send, void* receive, std::span<const int64_t> sizes) override {
    copy(send, receive, sizes[0]);
  }
  void all_to_all_v(const void* send, std::span<const int64_t> sizes_out, void* receive,
                    std::span<const int64_t>) override {
    copy(send, receive, sizes_out[0]);
  }
  void reduce_scatter(const void* send, void* receive, int64_t count, DType type,
                      ReduceOp) override {
    detail::require_reducible(type);
    copy(send, receive, count * dtype_info(type).size_bytes);
  }

 private:
  static void copy(const void* from, void* to, int64_t size_bytes) {
    if (from != to && size_bytes > 0) {
      std::memmove(to, from, size_t(size_bytes));
    }
  }
};

}  // namespace

std::unique_ptr<Communicator> make_single_communicator() {
  return std::make_unique<SingleCommunicator>();
}

}  // namespace crossloom
