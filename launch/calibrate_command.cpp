// crossloom calibrate: a TopK or BatchTopK run as a JumpReLU transcoder with calibrated thresholds,
// measured beside the rule it was trained with. Writes a folder that eval and graph take as a run,
// and calibration.json in it: both measurements, and the thresholds as --thresholds reads them.
#include <algorithm>
#include <filesystem>

#include "common/checkpoint_folder.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/output_file.h"
#include "eval/calibration.h"
#include "launch/commands.h"
#include "launch/held_out.h"
#include "launch/trained_session.h"
#include "launch/writable.h"
#include "trainer/weights_file.h"

namespace crossloom::launch {
namespace {

namespace fs = std::filesystem;

struct CalibrateOptions : Options {
  std::string run;
  std::string data;
  std::string output;
  std::string thresholds;
  int64_t k = 0;
  int64_t sample_tokens = 8192;
  void visit(OptionVisitor& v) override {
    v.field("run", run, "run folder or checkpoint of a topk or batchtopk transcoder");
    v.field("data", data, "folder of the shards it was trained on");
    v.field("output", output, "folder of the result");
    v.field("thresholds", thresholds,
            "JSON file to take thresholds from: {\"thresholds\": [a number, or a list of one per "
            "feature, for each layer]}, e.g. a calibration.json; empty: calibrate");
    v.field("k", k, "features per token to calibrate for; 0: the K it was trained with");
    v.field("sample_tokens", sample_tokens, "training rows to calibrate on");
  }
};

void print_rules(const eval::Reconstruction& before, const eval::Reconstruction& after) {
  fmt::print("layer   trained rule: NMSE      L0     thresholds: NMSE      L0\n");
  for (size_t l = 0; l < before.nmse.size(); ++l) {
    fmt::print("{:>5}                 {:.4f}  {:>6.1f}                 {:.4f}  {:>6.1f}\n", l,
               before.nmse[l], before.l0[l], after.nmse[l], after.l0[l]);
  }
  fmt::print(" mean                 {:.4f}  {:>6.1f}                 {:.4f}  {:>6.1f}\n",
             before.mean_nmse(), before.mean_l0(), after.mean_nmse(), after.mean_l0());
}

/// The manifest that verify_checkpoint_file reads: weights are the only file.
Json make_manifest(const fs::path& folder, const eval::TrainedTranscoder& trained) {
  const fs::path weights = folder / trainer::kWeightsFile;
  return {{"format", "crossloom-checkpoint"},
          {"version", 1},
          {"step", 0},
          {"identity",
           trainer::identity_json(trained.transcoder->shape(), trained.identity, trained.cache)},
          {"files", Json::array({{{"name", trainer::kWeightsFile},
                                  {"bytes", fs::file_size(weights)},
                                  {"xxh3", hex(xxh3_of_file(weights.string()))}}})}};
}

std::string report_file(const CalibrateOptions& options) {
  return (fs::path(options.output) / "calibration.json").string();
}

/// A checkpoint with weights only: enough for eval and graph, not to go on training.
void write_result(const CalibrateOptions& options, const eval::TrainedTranscoder& trained,
                  const Json& report) {
  const fs::path folder = fs::path(options.output) / "step_0";
  make_folders(folder.string());
  trainer::write_weights_file(
      folder.string(), {trained.transcoder->parameters(), trained.normalizer, trained.target_mean,
                        trained.transcoder->options(), trained.loader, trained.transcoder->shape(),
                        trained.identity, trained.cache});
  write_json_file(report_file(options), report);
  write_json_file((folder / "manifest.json").string(), make_manifest(folder, trained));
  write_file((folder / kCheckpointDone).string(), "");
}

void check(const CalibrateOptions& options) {
  require_set("run", options.run, "run folder");
  require_set("data", options.data, "folder of shards");
  require_set("output", options.output, "folder of the result");
  require_at_least("k", options.k, 0);
  require_at_least("sample_tokens", options.sample_tokens, 1);
}

/// Refuses to replace a transcoder.
void check_output(const CalibrateOptions& options) {
  if (newest_checkpoint(options.output)) {
    throw ConfigError({.what = "The output folder already holds a transcoder",
                       .expected = "a new or empty folder",
                       .got = options.output,
                       .where = "output",
                       .hint = "Choose another --output."});
  }
}

/// float64 [L, F].
at::Tensor make_thresholds(const CalibrateOptions& options, const eval::TrainedTranscoder& trained,
                           const data::ShardSet& shards, const data::RowSelection& training) {
  const auto& shape = trained.transcoder->shape();
  if (!options.thresholds.empty()) {
    return eval::read_thresholds(options.thresholds, shape);
  }
  const int64_t k = options.k > 0 ? options.k : trained.transcoder->options().k;
  return at::tensor(
             eval::calibrated_thresholds(trained, shards, training, k, options.sample_tokens),
             at::TensorOptions(at::kDouble))
      .unsqueeze(1)
      .expand({shape.layers, shape.features});
}

void print_costs(const CalibrateOptions& options, const std::string& form,
                 const data::RowSplit& split) {
  log::info("{}: thresholds {}; both rules measured on {} held-out rows", form,
            options.thresholds.empty()
                ? fmt::format("from {} of {} training rows",
                              std::min(options.sample_tokens, split.training.size()),
                              split.training.size())
                : "from " + options.thresholds,
            split.held_out.size());
}

void run(CalibrateOptions& options, Context& context) {
  check(options);
  if (context.communicator.rank() != 0) {
    return;
  }
  check_output(options);
  const data::ShardSet shards(options.data);
  auto trained = open_trained(options.run, at::kFloat);
  data::require_same(trained.identity, shards.identity(), options.data);
  const auto form = eval::jumprelu_form(trained.transcoder->options().architecture);
  const auto split = data::split_rows(shards, trained.loader);
  if (context.dry_run) {
    if (!options.thresholds.empty()) {
      eval::read_thresholds(options.thresholds, trained.transcoder->shape());
    }
    print_costs(options, form, split);
    return;
  }
  require_writable(report_file(options));
  const at::Tensor thresholds = make_thresholds(options, trained, shards, split.training);
  const auto measure = [&] {
    return reconstruct_held_out(*trained.transcoder, trained.normalizer, shards, split.held_out,
                                *make_single_communicator());
  };
  const auto before = measure();
  trained.transcoder = eval::with_thresholds(*trained.transcoder, thresholds);
  const auto after = measure();
  print_rules(before, after);
  write_result(options, trained,
               {{"from", trained.folder},
                {"architecture", form},
                {"trained_rule", before.to_json()},
                {"threshold_rule", after.to_json()},
                {"thresholds", eval::thresholds_json(thresholds)}});
  fmt::print("written: {}\n", options.output);
}

}  // namespace

Command calibrate_command() {
  return make_command<CalibrateOptions>(
      "calibrate", "a topk run as jumprelu, thresholds calibrated", {"run"}, run);
}

}  // namespace crossloom::launch
