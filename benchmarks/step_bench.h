// A training step in units that do not depend on the machine, and against the eager step.
//
//   GEMM-equivalents = step seconds × GFLOP/s of a 2048³ float32 product probed around the step
//   floor = the sum over stages of FLOP at the probed product rate, and of the bytes that updates
//           move, weight and moments read and written (24 per parameter in float32, 8 with bfloat16
//           weights and 8-bit moments), at the probed copy rate:
//     encode and select   2 T L D F             decode            2 T·pairs·K·D
//     decode backward     4 T·pairs·K·D + update of decoders
//     encode backward     2 T L K D + update of encoders
//
// The floor counts every product at the rate of a dense float32 one, so a sparse step cannot reach
// it; the encoder's screen by products of bytes can beat its part. Blocks of steps alternate
// between the two sides; a block during which the noise probe fell is discarded.
#pragma once

#include "benchmarks/fast_step.h"
#include "common/json_file.h"
#include "trainer/memory_plan.h"

namespace crossloom::benchmarks {

struct StepBenchOptions {
  StepShape shape;
  bool against_eager = false;
  int64_t blocks = 5;         // undisturbed ones, of each side
  int64_t steps = 4;          // of a block
  int64_t warm_up_steps = 2;  // of each side
};

struct StageBench {
  std::string name;
  double seconds = 0.0;
  double floor_s = 0.0;  // 0: has none
};

struct StepBench {
  StepShape shape;
  int64_t parameters = 0;
  int threads = 1;
  double fast_s = 0.0;   // per step, median over blocks
  double eager_s = 0.0;  // 0: not measured
  double gemm_gflops = 0.0, copy_gbs = 0.0, read_gbs = 0.0;
  double gemm_equivalents = 0.0;  // median over blocks
  double floor_s = 0.0;
  std::vector<StageBench> stages{};
  double peak_bytes = 0.0;  // with the fast side alone; 0: unknown
  double planned_bytes = 0.0;
  double page_faults = 0.0;  // of a fast step after the first ones: fresh memory it asked for
  int64_t discarded_blocks = 0;

  Json to_json() const;
  std::string text() const;
};

/// What the fast side will hold; its rows are the bench's inputs.
trainer::MemoryPlan plan_step(const StepShape& shape);

/// Throws DataError when the two sides' first losses differ by more than 1e-4 of them (2e-2 where
/// the fast side's weights are bfloat16).
StepBench bench_step(const StepBenchOptions& options);

}  // namespace crossloom::benchmarks
