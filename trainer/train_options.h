// Every option of training with its default, in one place.
#pragma once

#include <string>

#include "architectures/transcoder.h"
#include "common/options.h"
#include "data/loader.h"

namespace crossloom::trainer {

struct AdamOptions : Options {
  double learning_rate = 1e-3;  // EC's rule 2e-4 / √(F / 2^14) gives 1.07e-3 at F 576
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  int64_t warmup_steps = 10;
  double clip_norm = 1.0;  // 0: no clipping

  void visit(OptionVisitor& v) override {
    v.field("learning_rate", learning_rate, "peak learning rate");
    v.field("beta1", beta1, "decay of the first moment");
    v.field("beta2", beta2, "decay of the second moment");
    v.field("epsilon", epsilon, "added to the root of the second moment");
    v.field("warmup_steps", warmup_steps,
            "linear warm-up, then linear decay to 0 at the last step");
    v.field("clip_norm", clip_norm, "largest global gradient norm; 0: no clipping");
  }
};

struct TrainOptions : Options {
  std::string data;    // folder of shards
  std::string output;  // run folder
  architectures::TranscoderOptions transcoder;
  AdamOptions adam;
  data::LoaderOptions loader;  // batch, order of tokens, held-out share, prefetching
  int64_t steps = 120;
  std::string dtype = "float32";
  bool deterministic = false;
  int64_t virtual_shards = 4;          // S, deterministic mode: every rank count must divide it
  int64_t evaluate_every_steps = 0;    // held-out evaluation; 0: only at the end
  int64_t checkpoint_every_steps = 0;  // 0: only at the end
  int64_t keep_checkpoints = 1;
  int64_t report_every_steps = 10;
  int64_t dead_after_tokens = 50000;
  bool resume = true;

  void visit(OptionVisitor& v) override {
    v.field("data", data, "folder of activation shards (crossloom harvest)");
    v.field("output", output, "run folder: checkpoints, metrics.jsonl, resolved config");
    v.group("transcoder", transcoder, "what is trained");
    v.group("adam", adam, "optimizer");
    v.group("loader", loader, "batches");
    v.field("steps", steps, "optimizer steps");
    v.field("dtype", dtype, "float32 or float64: weights, optimizer state and arithmetic");
    v.field("deterministic", deterministic, "same bits for any rank count; slower");
    v.field("virtual_shards", virtual_shards, "token shards of the deterministic mode");
    v.field("evaluate_every_steps", evaluate_every_steps,
            "held-out evaluation; 0: at the end only");
    v.field("checkpoint_every_steps", checkpoint_every_steps, "0: at the end only");
    v.field("keep_checkpoints", keep_checkpoints, "older ones are removed");
    v.field("report_every_steps", report_every_steps, "console and metrics.jsonl");
    v.field("dead_after_tokens", dead_after_tokens, "a feature silent for so long counts as dead");
    v.field("resume", resume, "continue from the newest complete checkpoint in the run folder");
  }
};

/// Throws ConfigError naming the option and the rule it breaks, also against the number of ranks.
void check_train_options(const TrainOptions& options, int ranks);

}  // namespace crossloom::trainer
