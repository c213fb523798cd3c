// What the machine can do at this moment: rates that measurements are divided by. Shared machines
// change speed by the minute, so probes run around every block, and a block during which the noise
// probe fell behind its best is discarded (performance.md 4.4).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "common/tensor.h"

namespace crossloom::benchmarks {

/// Wall seconds of `work`.
double seconds_of(const std::function<void()>& work);
double median(std::vector<double> values);

/// GFLOP/s of one 2048³ float32 product.
class GemmProbe {
 public:
  GemmProbe();
  double gflops();

 private:
  at::Tensor a_, b_, c_;
};

/// GB/s over buffers far larger than the caches.
class MemoryProbe {
 public:
  MemoryProbe();
  /// Read and written bytes of a copy, with stores through the caches or past them, whichever is
  /// faster here.
  double copy_gbs();
  double read_gbs();

 private:
  std::vector<float> from_, to_;
};

/// All threads run multiply-adds in registers: what neighbours take away shows here first.
class NoiseProbe {
 public:
  /// Whether this probe reached 95 % of the best one so far.
  bool is_quiet();
  double best_gflops() const { return best_; }
  double last_gflops() const { return last_; }

 private:
  double best_ = 0.0;
  double last_ = 0.0;
};

}  // namespace crossloom::benchmarks
