// How work is dealt to threads: one parallel region per stage where possible, since every region
// ends with a wait for the slowest thread. Each output element has one writer.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

#include "common/tensor.h"

namespace crossloom::architectures::kernels {

/// [first, last) of tokens or features.
struct Range {
  int64_t first = 0;
  int64_t last = 0;
};

/// Threads that a parallel region begun here would have.
inline int64_t threads_here() {
  return at::in_parallel_region() ? 1 : at::get_num_threads();
}

/// Calls `body(i)` for every i in [0, count), each on one thread; who is free takes the next. Items
/// of unequal work come largest first.
template <typename Body>
void deal(int64_t count, Body&& body) {
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, std::min(count, threads_here()), 1, [&](int64_t /*first*/, int64_t /*last*/) {
    for (int64_t i = next++; i < count; i = next++) {
      body(i);
    }
  });
}

/// Calls `body(Range)` on ranges that together cover [0, tokens), in parallel.
template <typename Body>
void for_token_ranges(int64_t tokens, Body&& body) {
  constexpr int64_t kTokenGrain = 32;  // tokens a thread takes at least
  at::parallel_for(0, tokens, kTokenGrain, [&](int64_t first, int64_t last) {
    body(Range{first, last});
  });
}

}  // namespace crossloom::architectures::kernels
