// Single stages against the probe that bounds them, in one run:
//
//   encode   2 T D F FLOP of one layer's encoder with its selection, over the product rate
//   decode   4 T·P·K·D bytes of gathered decoder rows (float32), over the read rate
//   adam     28 bytes per parameter, over the copy rate
#pragma once

#include "benchmarks/fast_step.h"
#include "common/json_file.h"

namespace crossloom::benchmarks {

struct KernelBench {
  std::string name;
  StepShape shape;
  int threads = 1;
  double seconds = 0.0;  // median
  double rate = 0.0;     // GFLOP/s or GB/s
  double probe = 0.0;    // median of the probes around it, in the same unit
  std::string unit;

  double share() const { return rate / probe; }
  Json to_json() const;
  std::string text() const;
};

/// `what`: encode, decode, adam, gemm or copy. Throws ConfigError for another.
KernelBench bench_kernel(const std::string& what, const StepShape& shape, int64_t repeats);

}  // namespace crossloom::benchmarks
