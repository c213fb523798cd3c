// This program's own training step on random activations, whole and stage by stage.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/json_file.h"
#include "data/batch.h"
#include "trainer/step.h"

namespace crossloom::benchmarks {

struct StepShape {
  std::string architecture = "clt-topk";
  int64_t tokens = 1024;         // T
  int64_t layers = 12;           // L
  int64_t width = 768;           // D
  int64_t features = 3072;       // F
  int64_t kept = 32;             // K; ReLU and JumpReLU types start with as many active
  std::string weights = "full";  // of the fast side, as in trainer::TrainOptions; the eager one is
  std::string states = "full";   // float32 throughout
  double beta1 = 0.9;
};

Json shape_json(const StepShape& shape);
/// Whether a coded entry meets one decoder row, whatever the number of its targets.
bool reads_rows_once(const StepShape& shape);

/// Random activations: float32 for the eager side, bfloat16 as shards hold them.
struct StepInputs {
  explicit StepInputs(const StepShape& shape);
  std::vector<at::Tensor> x, y;  // [L] of float32 [T, D], exact in bfloat16
  data::Batch batch;
};

/// Options of both sides: Adam without clipping, decoders from U(±1/√(L·D)).
trainer::TrainOptions step_options(const StepShape& shape);

/// What both sides start from: of step_options, biases so that K features fire for a token.
std::unique_ptr<architectures::Transcoder> bench_transcoder(const StepShape& shape,
                                                            const StepInputs& inputs,
                                                            at::ScalarType type = at::kFloat);

class FastStep {
 public:
  FastStep(const StepShape& shape, const StepInputs& inputs);
  ~FastStep();

  /// One step; returns the loss.
  double run(const data::Batch& batch, int64_t step);
  /// Stage → seconds, of one more step taken apart.
  std::vector<std::pair<std::string, double>> stages(const StepInputs& inputs, int64_t step);

 private:
  trainer::TrainOptions options_;
  std::unique_ptr<Communicator> communicator_;
  std::unique_ptr<architectures::Transcoder> transcoder_;
  data::Normalizer normalizer_;
  at::Tensor nobody_dead_;  // bool [L, F]
  std::unique_ptr<trainer::Step> step_;
};

}  // namespace crossloom::benchmarks
