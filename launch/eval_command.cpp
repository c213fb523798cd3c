// crossloom eval: how good a trained transcoder is. Held-out reconstruction per layer, then the
// replacement model on held-out windows beside the mean-ablated one. Writes eval.json.
#include <filesystem>

#include "common/format.h"
#include "common/output_file.h"
#include "data/harvest.h"
#include "data/shard_set.h"
#include "eval/reconstruction.h"
#include "eval/replacement.h"
#include "launch/commands.h"
#include "launch/trained_session.h"

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

void run(EvalOptions& options, Context& context) {
  require_set("run", options.run, "run folder");
  require_set("data", options.data, "folder of shards");
  require_at_least("windows", options.windows, 1);
  require_one_of("dtype", options.dtype, {"float32", "float64"});
  if (context.dry_run) {
    return;
  }
  auto& communicator = context.communicator;
  const bool speaks = communicator.rank() == 0;
  std::unique_ptr<data::ShardSet> shards;
  std::unique_ptr<eval::TrainedTranscoder> trained;
  communicator.agree([&] {
    shards = std::make_unique<data::ShardSet>(options.data);
    trained = std::make_unique<eval::TrainedTranscoder>(
        eval::open_trained_transcoder(options.run, compute_type("dtype", options.dtype)));
    data::require_same(trained->identity, shards->identity(), options.data);
  });
  const auto split = data::split_rows(*shards, trained->loader.held_out_share,
                                      static_cast<uint64_t>(trained->loader.seed));
  const auto reconstruction = eval::evaluate_reconstruction(
      *trained->transcoder, trained->normalizer, *shards, split.held_out, communicator);
  Json report{{"checkpoint", trained->folder}, {"reconstruction", reconstruction.to_json()}};
  if (speaks) {
    print_layers(reconstruction);
  }
  if (!options.model.empty()) {
    std::unique_ptr<ModelSession> session;
    communicator.agree([&] {
      session =
          std::make_unique<ModelSession>(open_model_for(*trained, options.model, options.dtype));
    });
    eval::fold_normalization(*trained);
    const auto windows = eval::windows_of_rows(
        *shards, split.held_out, static_cast<models::TokenId>(session->model.spec().bos_id),
        options.windows);
    const auto replacement =
        eval::evaluate_replacement(session->model, *trained, windows, communicator);
    report["replacement"] = replacement.to_json();
    if (speaks) {
      print_replacement(replacement);
    }
  }
  communicator.agree([&] {
    if (speaks) {
      const std::string folder = options.output.empty() ? options.run : options.output;
      make_folders(folder);
      write_json_file((std::filesystem::path(folder) / "eval.json").string(), report);
    }
  });
}

}  // namespace

Command eval_command() {
  return make_command<EvalOptions>("eval", "held-out quality and the replacement model", {"run"},
                                   run);
}

}  // namespace crossloom::launch
