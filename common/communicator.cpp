#include "common/communicator.h"

namespace crossloom {

void Communicator::all_gather(const void* send, void* receive, int64_t size_bytes) {
  const std::vector<int64_t> sizes(size_t(size()), size_bytes);
  all_gather_v(send, receive, sizes);
}

void Communicator::agree(const std::function<void()>& work) {
  std::exception_ptr failure;
  try {
    work();
  } catch (...) {
    failure = std::current_exception();
  }
  // The lowest failing rank, or size() when all is well.
  const int64_t failed = min(failure ? int64_t{rank()} : int64_t{size()});
  if (failure) {
    std::rethrow_exception(failure);
  }
  if (failed != size()) {
    throw DistError({.what = fmt::format("Rank {} failed, so this rank stops too", failed),
                     .expected = {},
                     .got = {},
                     .where = fmt::format("rank {} of {}", rank(), size()),
                     .hint = fmt::format("Read the message of rank {}.", failed)});
  }
}

}  // namespace crossloom
