// The parts of a training recipe: what is added to the reconstruction loss, how rates and weights
// change over a run, when a feature counts as dead, when a run is stopped.
#pragma once

#include <string>
#include <vector>

#include "common/options.h"

namespace crossloom::trainer {

struct AdamOptions : Options {
  double learning_rate = 1e-3;  // EC's rule 2e-4 / √(F / 2^14) gives 1.07e-3 at F 576
  double threshold_rate = 1.0;  // of the learning rate, for JumpReLU thresholds
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  int64_t warmup_steps = 10;
  std::string decay = "linear";
  double decay_share = 1.0;  // of the steps after warm-up
  double final_rate = 0.0;   // of the learning rate
  double clip_norm = 1.0;    // 0: no clipping
  std::string states = "full";

  void visit(OptionVisitor& v) override {
    v.field("learning_rate", learning_rate, "peak learning rate");
    v.field("threshold_rate", threshold_rate, "learning rate of JumpReLU thresholds, relative");
    v.field("beta1", beta1, "decay of the first moment");
    v.field("beta2", beta2, "decay of the second moment");
    v.field("epsilon", epsilon, "added to the root of the second moment");
    v.field("warmup_steps", warmup_steps, "linear warm-up");
    v.field("decay", decay, "after warm-up: linear, cosine or constant");
    v.field("decay_share", decay_share, "share of the remaining steps, at the end, that decay");
    v.field("final_rate", final_rate, "rate after the last step, relative to the peak");
    v.field("clip_norm", clip_norm, "largest global gradient norm; 0: no clipping");
    v.field("states", states, "moments: full (as dtype), bfloat16 or 8bit, rounded stochastically");
  }
};

struct SparsityOptions : Options {
  double weight = 0.0;      // λ; 0: no penalty
  double scale = 4.0;       // c
  double ramp_share = 1.0;  // of the run, λ from 0 to its value
  std::string ramp = "linear";
  std::string norms = "concatenated";
  bool through_norms = true;

  void visit(OptionVisitor& v) override {
    v.field("weight", weight, "λ of the tanh penalty (ReLU, JumpReLU types); 0: none");
    v.field("scale", scale, "c inside the tanh");
    v.field("ramp_share", ramp_share, "share of the run over which λ rises from 0");
    v.field("ramp", ramp, "linear or cosine");
    v.field("norms", norms, "decoder norm in the penalty: concatenated (over targets) or none");
    v.field("through_norms", through_norms, "let its gradient into the decoders");
  }
};

struct PreActivationOptions : Options {
  double weight = 0.0;  // λ_P; 0: none
  bool norm_weighted = true;
  bool through_norms = true;
  bool dead_only = false;

  void visit(OptionVisitor& v) override {
    v.field("weight", weight, "λ_P of the pre-activation loss; 0: none");
    v.field("norm_weighted", norm_weighted, "weight each feature by its decoder norm");
    v.field("through_norms", through_norms, "let its gradient into the decoders");
    v.field("dead_only", dead_only, "only features that count as dead");
  }
};

struct AuxKOptions : Options {
  int64_t k = 0;  // 0: off
  double weight = 1.0 / 32.0;

  void visit(OptionVisitor& v) override {
    v.field("k", k, "dead features per token that reconstruct the residual; 0: none");
    v.field("weight", weight, "weight of that reconstruction");
  }
};

struct MatryoshkaOptions : Options {
  std::vector<std::string> prefixes;

  void visit(OptionVisitor& v) override {
    v.field("prefixes", prefixes,
            "numbers of first features that must reconstruct alone, too, e.g. [64, 256]");
  }
};

struct DeadOptions : Options {
  int64_t window_tokens = 0;
  double min_density = 1e-5;

  void visit(OptionVisitor& v) override {
    v.field("window_tokens", window_tokens,
            "time constant of the density average; 0: a tenth of the run's tokens");
    v.field("min_density", min_density, "a feature of lower density counts as dead");
  }
};

struct GuardOptions : Options {
  double spike_factor = 20.0;
  double highest_fvu = 100.0;

  void visit(OptionVisitor& v) override {
    v.field("spike_factor", spike_factor,
            "stop when the loss exceeds so many times its running mean; 0: never");
    v.field("highest_fvu", highest_fvu,
            "stop when the mean over layers of the error's share of variance (1: the mean "
            "predictor) exceeds this; 0: never");
  }
};

struct StartOptions : Options {
  double firing_rate = 0.0;
  int64_t sample_tokens = 2048;

  void visit(OptionVisitor& v) override {
    v.field(
        "firing_rate", firing_rate,
        "b_enc so that each feature fires on this share of a sample; 0: b_enc = −W_enc mean(x)");
    v.field("sample_tokens", sample_tokens, "tokens of that sample");
  }
};

struct KAnnealingOptions : Options {
  int64_t start = 0;
  double share = 0.5;

  void visit(OptionVisitor& v) override {
    v.field("start", start, "K at the first step, then exponentially down to k; 0: off");
    v.field("share", share, "share of the run it takes");
  }
};

}  // namespace crossloom::trainer
