// Every option of training with its default, in one place.
#pragma once

#include <string>
#include <vector>

#include "architectures/transcoder.h"
#include "common/options.h"
#include "data/loader.h"
#include "trainer/recipe_options.h"

namespace crossloom::trainer {

struct TrainOptions : Options {
  std::string data;    // folder of shards
  std::string output;  // run folder
  architectures::TranscoderOptions transcoder;
  AdamOptions adam;
  data::LoaderOptions loader;  // batch, order of tokens, held-out share, prefetching
  std::string reconstruction = "fvu";
  SparsityOptions sparsity;
  PreActivationOptions pre_activation;
  AuxKOptions auxk;
  MatryoshkaOptions matryoshka;
  KAnnealingOptions k_annealing;
  StartOptions start;
  DeadOptions dead;
  GuardOptions guard;
  int64_t steps = 120;
  std::string dtype = "float32";
  std::string weights = "full";
  bool deterministic = false;
  int64_t virtual_shards = 4;          // S, deterministic mode: every rank count must divide it
  int64_t evaluate_every_steps = 0;    // held-out evaluation; 0: only at the end
  int64_t checkpoint_every_steps = 0;  // 0: only at the end
  int64_t keep_checkpoints = 1;
  int64_t report_every_steps = 10;
  bool resume = true;

  void visit(OptionVisitor& v) override {
    v.field("data", data, "folder of activation shards (crossloom harvest)");
    v.field("output", output, "run folder: checkpoints, metrics.jsonl, resolved config");
    v.group("transcoder", transcoder, "what is trained");
    v.group("adam", adam, "optimizer");
    v.group("loader", loader, "batches");
    v.field("reconstruction", reconstruction,
            "loss per layer: fvu (share of variance), token_sum or element_mean (squared error)");
    v.group("sparsity", sparsity, "tanh penalty");
    v.group("pre_activation", pre_activation, "loss that keeps silent features movable");
    v.group("auxk", auxk, "dead features reconstruct the residual (TopK types)");
    v.group("matryoshka", matryoshka, "nested reconstruction");
    v.group("k_annealing", k_annealing, "K over the run (TopK types)");
    v.group("start", start, "data-driven initial biases");
    v.group("dead", dead, "when a feature counts as dead");
    v.group("guard", guard, "when training is stopped");
    v.field("steps", steps, "optimizer steps");
    v.field("dtype", dtype, "float32 or float64: weights, optimizer state and arithmetic");
    v.field("weights", weights,
            "weight matrices: full (as dtype) or bfloat16, rounded stochastically");
    v.field("deterministic", deterministic, "same bits for any rank count; slower");
    v.field("virtual_shards", virtual_shards, "token shards of the deterministic mode");
    v.field("evaluate_every_steps", evaluate_every_steps,
            "held-out evaluation; 0: at the end only");
    v.field("checkpoint_every_steps", checkpoint_every_steps, "0: at the end only");
    v.field("keep_checkpoints", keep_checkpoints, "older ones are removed");
    v.field("report_every_steps", report_every_steps, "console and metrics.jsonl");
    v.field("resume", resume, "continue from the newest complete checkpoint in the run folder");
  }
};

/// Whether weights or moments are stored in fewer bytes than they are computed with.
bool stores_few_bytes(const TrainOptions& options);

/// Throws ConfigError unless low ≤ value ≤ high (NaN is neither).
void require_range(const char* key, double value, double low, double high);

/// matryoshka.prefixes as numbers. Throws ConfigError unless 0 < n_1 < n_2 < … < features.
std::vector<int64_t> matryoshka_prefixes(const TrainOptions& options);

/// Throws ConfigError naming the option and the rule it breaks, also against the number of ranks.
void check_train_options(const TrainOptions& options, int ranks);

}  // namespace crossloom::trainer
