// crossloom calibrate: a TopK or BatchTopK run as a JumpReLU transcoder with calibrated thresholds,
// measured beside the rule it was trained with. Writes a folder that eval and graph take as a run.
#include <filesystem>

#include "common/checkpoint_folder.h"
#include "common/output_file.h"
#include "data/harvest.h"
#include "eval/calibration.h"
#include "eval/reconstruction.h"
#include "launch/commands.h"
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
    v.field("thresholds", thresholds, "JSON file of thresholds to use instead of calibrating");
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

/// A checkpoint with weights only: enough for eval and graph, not to go on training.
void write_result(const std::string& output, const eval::TrainedTranscoder& trained,
                  const Json& report) {
  const fs::path folder = fs::path(output) / "step_0";
  make_folders(folder.string());
  trainer::write_weights_file(
      folder.string(), {trained.transcoder->parameters(), trained.normalizer, trained.target_mean,
                        trained.transcoder->options(), trained.loader, trained.transcoder->shape(),
                        trained.identity});
  write_json_file((fs::path(output) / "calibration.json").string(), report);
  const auto weights = folder / trainer::kWeightsFile;
  write_json_file(
      (folder / "manifest.json").string(),
      {{"format", "crossloom-checkpoint"},
       {"version", 1},
       {"step", 0},
       {"files", {{{"name", trainer::kWeightsFile}, {"bytes", fs::file_size(weights)}}}}});
  write_file((folder / kCheckpointDone).string(), "");
}

void run(CalibrateOptions& options, Context& context) {
  require_set("run", options.run, "run folder");
  require_set("data", options.data, "folder of shards");
  require_set("output", options.output, "folder of the result");
  require_at_least("k", options.k, 0);
  require_at_least("sample_tokens", options.sample_tokens, 1);
  if (context.dry_run || context.communicator.rank() != 0) {
    return;
  }
  if (newest_checkpoint(options.output)) {
    throw ConfigError({.what = "The output folder already holds a transcoder",
                       .expected = "a new or empty folder",
                       .got = options.output,
                       .where = "output",
                       .hint = "Choose another --output."});
  }
  const data::ShardSet shards(options.data);
  auto trained = eval::open_trained_transcoder(options.run, at::kFloat);
  data::require_same(trained.identity, shards.identity(), options.data);
  const auto split = data::split_rows(shards, trained.loader);
  const auto measure = [&] {
    return eval::evaluate_reconstruction(*trained.transcoder, trained.normalizer, shards,
                                         split.held_out, *make_single_communicator());
  };
  const auto& shape = trained.transcoder->shape();
  const int64_t k = options.k > 0 ? options.k : trained.transcoder->options().k;
  const at::Tensor thresholds =
      options.thresholds.empty()
          ? at::tensor(eval::calibrated_thresholds(trained, shards, split.training, k,
                                                   options.sample_tokens),
                       at::TensorOptions(at::kDouble))
                .unsqueeze(1)
                .expand({shape.layers, shape.features})
          : eval::read_thresholds(options.thresholds, shape);
  auto converted = eval::with_thresholds(*trained.transcoder, thresholds);
  const auto before = measure();
  trained.transcoder = std::move(converted);
  const auto after = measure();
  print_rules(before, after);
  write_result(options.output, trained,
               {{"from", trained.folder},
                {"architecture", trained.transcoder->options().architecture},
                {"trained_rule", before.to_json()},
                {"thresholds", after.to_json()}});
  fmt::print("written: {}\n", options.output);
}

}  // namespace

Command calibrate_command() {
  return make_command<CalibrateOptions>(
      "calibrate", "a topk run as jumprelu, thresholds calibrated", {"run"}, run);
}

}  // namespace crossloom::launch
