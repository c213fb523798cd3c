// crossloom eval: how good a trained transcoder is. Held-out reconstruction per layer, then the
// replacement model on held-out windows beside the mean-ablated one. Writes eval.json.
#include <filesystem>

#include "common/format.h"
#include "common/log.h"
#include "data/shard_set.h"
#include "launch/commands.h"
#include "launch/eval_run.h"
#include "launch/writable.h"

namespace crossloom::launch {
namespace {

struct EvalOptions : Options {
  std::string run;
  std::string data;
  std::string model;
  std::string output;
  std::string dtype = "float32";
  int64_t windows = 8;
  void visit(OptionVisitor& v) override {
    v.field("run", run, "run folder or checkpoint of crossloom train");
    v.field("data", data, "folder of the shards it was trained on");
    v.field("model", model, "host model folder; empty: reconstruction only");
    v.field("output", output, "where eval.json goes; empty: the run folder");
    v.field("dtype", dtype, "float32 or float64");
    v.field("windows", windows, "held-out windows for the replacement model");
  }
};

void print_layers(const eval::Reconstruction& r) {
  fmt::print("layer     NMSE      L0   dead %   tokens with half of the error (of {})\n", r.tokens);
  for (size_t l = 0; l < r.nmse.size(); ++l) {
    fmt::print("{:>5}   {:.4f}  {:>6.1f}   {:>6.1f}   {}\n", l, r.nmse[l], r.l0[l],
               100.0 * r.dead[l], r.half_error_tokens[l]);
  }
  fmt::print(" mean   {:.4f}  {:>6.1f}   {:>6.1f}      (NMSE: centred FVU, 1 = mean predictor)\n",
             r.mean_nmse(), r.mean_l0(), 100.0 * r.mean_dead());
}

void print_replacement(const eval::ReplacementReport& r) {
  fmt::print("all MLPs replaced at once, {} held-out predictions (CE of the model {:.3f}):\n",
             r.tokens, r.cross_entropy);
  const auto line = [](const char* name, const eval::ReplacementScores& s) {
    fmt::print("  {:<14} KL {:.3f} (median {:.3f}, p95 {:.3f})   ΔCE {:.3f}   top-1 {:.1f} %\n",
               name, s.kl, s.kl_median, s.kl_p95, s.delta_cross_entropy, 100.0 * s.top1_agreement);
  };
  line("transcoder", r.replaced);
  line("mean-ablated", r.mean_ablated);
}

std::string report_file(const EvalOptions& options) {
  const std::string& folder = options.output.empty() ? options.run : options.output;
  return (std::filesystem::path(folder) / "eval.json").string();
}

/// What would otherwise be refused only after the held-out pass. Rank 0.
void check_model_and_output(const EvalOptions& options, const eval::TrainedTranscoder& trained,
                            bool writes) {
  if (!options.model.empty()) {
    check_host_model(trained, options.model);
  }
  if (writes) {
    require_writable(report_file(options));
  }
}

void print_costs(const EvalOptions& options, const eval::TrainedTranscoder& trained,
                 const data::ShardSet& shards) {
  log::info("{}: {} held-out rows of {}{}", trained.folder, held_out_rows(trained, shards).size(),
            shards.rows(),
            options.model.empty()
                ? ""
                : fmt::format("; at most {} windows of {} tokens for the replacement model",
                              options.windows, shards.identity().context_len));
}

/// Measures and prints.
Json evaluate(const EvalOptions& options, eval::TrainedTranscoder& trained,
              const data::ShardSet& shards, Communicator& communicator) {
  const bool speaks = communicator.rank() == 0;
  const auto reconstruction = held_out_reconstruction(trained, shards, communicator);
  Json report{{"checkpoint", trained.folder}, {"reconstruction", reconstruction.to_json()}};
  if (speaks) {
    print_layers(reconstruction);
  }
  if (!options.model.empty()) {
    const auto session = open_host_model(trained, options.model, options.dtype, communicator);
    const auto replacement =
        ReplacementReferences().evaluate(*session, trained, shards, options.windows, communicator);
    report["replacement"] = replacement.to_json();
    if (speaks) {
      print_replacement(replacement);
    }
  }
  return report;
}

void run(EvalOptions& options, Context& context) {
  require_set("run", options.run, "run folder");
  require_set("data", options.data, "folder of shards");
  require_at_least("windows", options.windows, 1);
  require_one_of("dtype", options.dtype, {"float32", "float64"});
  auto& communicator = context.communicator;
  std::unique_ptr<data::ShardSet> shards;
  communicator.agree([&] { shards = std::make_unique<data::ShardSet>(options.data); });
  const auto trained = open_run(options.run, options.dtype, *shards, communicator);
  communicator.agree([&] {
    if (communicator.rank() == 0) {
      check_model_and_output(options, *trained, !context.dry_run);
    }
  });
  if (context.dry_run) {
    print_costs(options, *trained, *shards);
    return;
  }
  const Json report = evaluate(options, *trained, *shards, communicator);
  communicator.agree([&] {
    if (communicator.rank() == 0) {
      const std::string file = report_file(options);
      make_parent_folder(file);
      write_json_file(file, report);
    }
  });
}

}  // namespace

Command eval_command() {
  return make_command<EvalOptions>("eval", "held-out quality and the replacement model", {"run"},
                                   run);
}

}  // namespace crossloom::launch
