// MKL's float32 products (at::mm, at::addmm) may add up in another order on two threads than on
// one: on Intel's AVX-512 without AMX they do. Its strict mode keeps the order and costs about a
// tenth of the rate (benchmarks/README.md), so that a run gives the same bits on any number of
// threads.
#pragma once

#include <cstdlib>

namespace crossloom {

/// To be called before the first product of the process: MKL reads this variable then. A user's own
/// MKL_CBWR stays. Other makers' processors are left alone: MKL has one order for them.
inline void make_products_repeatable() {
#if defined(__x86_64__)
  constexpr int kKeepUsers = 0;
  if (__builtin_cpu_is("intel") != 0 && __builtin_cpu_supports("avx2") != 0) {
    const bool wide = __builtin_cpu_supports("avx512f") != 0;
    setenv("MKL_CBWR", wide ? "AVX512,STRICT" : "AVX2,STRICT", kKeepUsers);
  }
#endif
}

}  // namespace crossloom
