// The inner loops of the probes (Highway, chosen at run time).
#pragma once

#include <cstdint>

namespace crossloom::benchmarks {

/// Reads all; returns a sum nobody wants.
float read_all(const float* data, int64_t count);
/// Plain stores.
void copy_through_caches(float* to, const float* from, int64_t count);
/// `rounds` rounds of independent multiply-adds in registers.
float multiply_add(int64_t rounds);
double flop_of_rounds(int64_t rounds);
/// Makes the compiler believe that `value` is used.
void keep(float value);

}  // namespace crossloom::benchmarks
