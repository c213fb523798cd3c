// How work is dealt to threads: one parallel region per stage where possible, since every region
// ends with a wait for the slowest thread. Each output element has one writer.
#pragma once

#include <ATen/Parallel.h>

#include "common/tensor.h"

namespace crossloom::architectures::kernels {

/// [first, last) of tokens or features.
struct Range {
  int64_t first = 0;
  int64_t last = 0;
};

/// Calls `body(Range)` on ranges that together cover [0, tokens), in parallel.
template <typename Body>
void for_token_ranges(int64_t tokens, Body&& body) {
  constexpr int64_t kTokenGrain = 32;  // tokens a thread takes at least
  at::parallel_for(0, tokens, kTokenGrain, [&](int64_t first, int64_t last) {
    body(Range{first, last});
  });
}

}  // namespace crossloom::architectures::kernels
