#include "trainer/trainer.h"

#include <ATen/Parallel.h>

#include <chrono>
#include <filesystem>
#include <optional>

#include "architectures/registry.h"
#include "common/checkpoint_folder.h"
#include "common/log.h"
#include "common/mean.h"
#include "common/output_file.h"
#include "common/progress.h"
#include "trainer/metrics.h"

namespace crossloom::trainer {
namespace {

using Clock = std::chrono::steady_clock;

at::Tensor double_tensor(const std::vector<double>& values, int64_t rows, int64_t columns) {
  return at::from_blob(const_cast<double*>(values.data()), {rows, columns},
                       at::TensorOptions(at::kDouble))
      .clone();
}

void check_shards(const data::ShardSet& shards) {
  const auto& identity = shards.identity();
  if (identity.width_in != identity.width_out) {
    throw DataError({.what = "Inputs and targets have different widths",
                     .expected = fmt::format("{}", identity.width_in),
                     .got = fmt::format("{}", identity.width_out),
                     .where = shards.folder(),
                     .hint = "Train on shards of one width."});
  }
}

/// One training run: owns everything between two checkpoints.
class Run {
 public:
  Run(const TrainOptions& options, const data::ShardSet& shards, Communicator& communicator,
      const Evaluate& evaluate)
      : options_(options),
        shards_(shards),
        communicator_(communicator),
        evaluate_(evaluate),
        normalizer_(shards.statistics()),
        transcoder_(make_transcoder(options, shards)),
        step_(*transcoder_, normalizer_, options, communicator),
        dead_(transcoder_->shape().layers, transcoder_->shape().features),
        target_means_(double_tensor(shards.statistics().targets.mean, shards.identity().layers,
                                    shards.identity().width_out)),
        identity_{transcoder_->shape(), shards.identity(), options_to_yaml(options)} {}

  TrainSummary run() {
    const int64_t first = resume();
    describe();  // only now: a refused resume must leave the run folder as it was
    const auto split = data::split_rows(shards_, options_.loader.held_out_share,
                                        static_cast<uint64_t>(options_.loader.seed));
    data::Loader loader(shards_, split.training, options_.loader, communicator_.rank(),
                        communicator_.size(), first);
    const Metrics metrics(options_.output, first, communicator_.rank() == 0);
    if (first < options_.steps) {
      loop(loader, metrics, first);
    }
    return std::move(summary_);
  }

 private:
  TrainingState state() {
    return {step_,     dead_,   transcoder_->parameters(), normalizer_, target_means_,
            identity_, options_};
  }

  /// The run folder and its resolved options.
  void describe() {
    communicator_.agree([&] {
      if (communicator_.rank() == 0) {
        make_folders(options_.output);
        write_file((std::filesystem::path(options_.output) / "config.yaml").string(),
                   options_to_yaml(options_));
      }
    });
  }

  int64_t resume() {
    std::optional<std::string> folder;
    communicator_.agree([&] {
      folder = newest_checkpoint(options_.output);
      if (folder && !options_.resume) {
        throw ConfigError({.what = "The run folder already holds a checkpoint",
                           .expected = "an empty run folder, or resume: true",
                           .got = *folder,
                           .where = options_.output,
                           .hint = "Choose another --output, or remove the old run."});
      }
    });
    if (!folder) {
      return 0;
    }
    summary_.checkpoint = *folder;
    summary_.step = load_checkpoint(*folder, state(), communicator_);
    log::info("resumed from {} after step {}", *folder, summary_.step);
    return summary_.step;
  }

  void loop(data::Loader& loader, const Metrics& metrics, int64_t first) {
    Progress progress("train", options_.steps, "steps");
    auto since = Clock::now();
    int64_t since_step = first;
    for (int64_t n = first + 1; n <= options_.steps; ++n) {
      data::Batch batch;
      communicator_.agree([&] { batch = loader.next(); });
      summary_.last = step_.run(batch, n);
      summary_.step = n;
      dead_.update(step_.fired(), options_.loader.batch_tokens);
      progress.update(n, fmt::format("FVU {:.3f}", mean(summary_.last.fvu)));
      const bool last = n == options_.steps;
      if (last || n % options_.report_every_steps == 0) {
        const double seconds = std::chrono::duration<double>(Clock::now() - since).count();
        report(metrics, n, seconds / static_cast<double>(n - since_step));
        since = Clock::now();
        since_step = n;
      }
      if (is_due(n, options_.evaluate_every_steps)) {
        evaluate(metrics, n);
      }
      if (is_due(n, options_.checkpoint_every_steps)) {
        save_checkpoint(options_.output, n, state(), communicator_);
        summary_.checkpoint =
            (std::filesystem::path(options_.output) / fmt::format("step_{}", n)).string();
      }
    }
  }

  bool is_due(int64_t n, int64_t every) const {
    return n == options_.steps || (every > 0 && n % every == 0);
  }

  void report(const Metrics& metrics, int64_t n, double seconds_per_step) {
    const auto dead = dead_.dead_share(options_.dead_after_tokens);
    communicator_.agree([&] {
      metrics.append(
          step_json(n, options_.loader.batch_tokens, summary_.last, dead, seconds_per_step));
    });
    log::info(
        "step {:>5}  tokens {:>8}  FVU {:.4f}  L0 {:.1f}  dead {:.1f} %  |g| {:.3g}  lr {:.2e}  "
        "{:.0f} tokens/s",
        n, n * options_.loader.batch_tokens, mean(summary_.last.fvu), mean(summary_.last.l0),
        100.0 * mean(dead), summary_.last.gradient_norm, summary_.last.learning_rate,
        static_cast<double>(options_.loader.batch_tokens) / seconds_per_step);
  }

  void evaluate(const Metrics& metrics, int64_t n) {
    if (!evaluate_) {
      return;
    }
    summary_.held_out = evaluate_(*transcoder_, normalizer_);
    communicator_.agree([&] {
      Json line = summary_.held_out;
      line["kind"] = "held_out";
      line["step"] = n;
      metrics.append(line);
    });
    log::info("step {:>5}  held-out NMSE {:.4f}", n, summary_.held_out.value("nmse", 0.0));
  }

  const TrainOptions& options_;
  const data::ShardSet& shards_;
  Communicator& communicator_;
  const Evaluate& evaluate_;
  data::Normalizer normalizer_;
  std::unique_ptr<architectures::Transcoder> transcoder_;
  Step step_;
  DeadFeatures dead_;
  at::Tensor target_means_;  // float64 [L, D]
  RunIdentity identity_;
  TrainSummary summary_;
};

}  // namespace

std::unique_ptr<architectures::Transcoder> make_transcoder(const TrainOptions& options,
                                                           const data::ShardSet& shards) {
  check_shards(shards);
  const auto& identity = shards.identity();
  const architectures::TranscoderShape shape{identity.layers, identity.width_in,
                                             options.transcoder.features};
  const auto type = compute_type("dtype", options.dtype);
  auto transcoder = architectures::Registry::instance().create(options.transcoder, shape, type);
  const data::Normalizer normalizer(shards.statistics());
  const auto& statistics = shards.statistics();
  const at::Tensor mean_in =
      double_tensor(statistics.inputs.mean, shape.layers, shape.width);  // [L, D]
  const at::Tensor mean_out = double_tensor(statistics.targets.mean, shape.layers, shape.width);
  for (int64_t l = 0; l < shape.layers; ++l) {
    const auto i = static_cast<size_t>(l);
    const at::Tensor x = mean_in[l] / normalizer.sigma_in()[i];
    const at::Tensor w =
        architectures::find_parameter(*transcoder, fmt::format("W_enc_{}", l)).to(at::kDouble);
    architectures::find_parameter(*transcoder, fmt::format("b_enc_{}", l))
        .copy_(at::mv(w, x).neg());
    architectures::find_parameter(*transcoder, fmt::format("b_dec_{}", l))
        .copy_(mean_out[l] / normalizer.sigma_out()[i]);
  }
  return transcoder;
}

TrainSummary train(const TrainOptions& options, const data::ShardSet& shards,
                   Communicator& communicator, const Evaluate& evaluate) {
  check_train_options(options, communicator.size());
  if (options.deterministic) {
    at::set_num_threads(1);  // a GEMM's bits depend on its threads
  }
  return Run(options, shards, communicator, evaluate).run();
}

}  // namespace crossloom::trainer
