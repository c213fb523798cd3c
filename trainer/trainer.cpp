#include "trainer/trainer.h"

#include <ATen/Parallel.h>

#include <chrono>
#include <filesystem>
#include <optional>

#include "common/checkpoint_folder.h"
#include "common/folder_lock.h"
#include "common/log.h"
#include "common/mean.h"
#include "common/output_file.h"
#include "common/progress.h"
#include "trainer/dump.h"
#include "trainer/initial_transcoder.h"
#include "trainer/metrics.h"
#include "trainer/non_finite.h"

namespace crossloom::trainer {
namespace {

using Clock = std::chrono::steady_clock;

/// τ of the density average: by default a tenth of the run.
double density_window_tokens(const TrainOptions& options) {
  return options.dead.window_tokens > 0
             ? static_cast<double>(options.dead.window_tokens)
             : 0.1 * static_cast<double>(options.steps * options.loader.batch_tokens);
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
        density_(transcoder_->shape().layers, transcoder_->shape().features,
                 density_window_tokens(options), options.dead.min_density),
        target_means_(mean_rows(shards.statistics().targets.mean, shards.identity().layers)),
        identity_{transcoder_->shape(), shards.identity(), shards.digest(),
                  options_to_yaml(options)} {}

  TrainSummary run() {
    lock();
    const int64_t first = resume();
    describe();  // only now: a refused resume must leave the run folder as it was
    const auto split = data::split_rows(shards_, options_.loader);
    data::Loader loader(shards_, split.training, options_.loader, communicator_.rank(),
                        communicator_.size(), first);
    const Metrics metrics(options_.output, first, communicator_.rank() == 0);
    if (first > 0 && wants_evaluation(first) &&
        communicator_.max(int64_t{metrics.has_evaluation()}) == 0) {
      evaluate(metrics, first);  // it was stopped between its checkpoint and this
    }
    if (first < options_.steps) {
      loop(loader, metrics, first);
    }
    return std::move(summary_);
  }

 private:
  TrainingState state() {
    return {step_,     density_, transcoder_->parameters(), normalizer_, target_means_,
            identity_, options_};
  }

  void lock() {
    communicator_.agree([&] {
      if (communicator_.rank() == 0) {
        lock_.emplace(options_.output);
      }
    });
  }

  /// The run's resolved options.
  void describe() {
    communicator_.agree([&] {
      if (communicator_.rank() == 0) {
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
      run_step(batch, n);
      progress.update(n, fmt::format("FVU {:.3f}", mean(summary_.last.fvu)));
      const bool last = n == options_.steps;
      if (last || n % options_.report_every_steps == 0) {
        const double seconds = std::chrono::duration<double>(Clock::now() - since).count();
        report(metrics, n, seconds / static_cast<double>(n - since_step));
        since = Clock::now();
        since_step = n;
      }
      if (is_due(n, options_.checkpoint_every_steps)) {  // first: evaluation may fail
        save_checkpoint(options_.output, n, state(), communicator_);
        summary_.checkpoint =
            (std::filesystem::path(options_.output) / fmt::format("step_{}", n)).string();
      }
      if (wants_evaluation(n)) {
        evaluate(metrics, n);
      }
    }
  }

  void run_step(const data::Batch& batch, int64_t n) {
    try {
      summary_.last = step_.run(batch, n, density_.dead());
    } catch (const DataError&) {  // on all ranks alike
      describe_failure(batch, n);
      throw;
    }
    summary_.step = n;
    density_.update(step_.fired(), options_.loader.batch_tokens);
  }

  /// Dumps the step; throws when it was the batch that is at fault.
  void describe_failure(const data::Batch& batch, int64_t n) {
    const auto place = non_finite_place(batch);
    const int64_t ranks = communicator_.size();
    const int64_t culprit = communicator_.min(place ? int64_t{communicator_.rank()} : ranks);
    if (communicator_.rank() == (culprit < ranks ? culprit : 0)) {
      write_dump(options_, step_.result(), batch, n);
    }
    if (culprit < ranks) {
      throw DataError({.what = "The activations hold a number that is not finite",
                       .expected = "finite numbers",
                       .got = place ? *place : fmt::format("one in the batch of rank {}", culprit),
                       .where = shards_.folder(),
                       .hint = "Harvest these shards again, in float32 if the model overflows."});
    }
  }

  bool wants_evaluation(int64_t n) const {
    return evaluate_ && is_due(n, options_.evaluate_every_steps);
  }

  bool is_due(int64_t n, int64_t every) const {
    return n == options_.steps || (every > 0 && n % every == 0);
  }

  void report(const Metrics& metrics, int64_t n, double seconds_per_step) {
    const auto dead = density_.dead_share();
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
  FeatureDensity density_;
  at::Tensor target_means_;  // float64 [L, D]
  RunIdentity identity_;
  TrainSummary summary_;
  std::optional<FolderLock> lock_;  // rank 0
};

}  // namespace

TrainSummary train(const TrainOptions& options, const data::ShardSet& shards,
                   Communicator& communicator, const Evaluate& evaluate) {
  communicator.agree([&] { check_training(options, shards, communicator.size()); });
  if (options.deterministic) {
    at::set_num_threads(1);  // a GEMM's bits may depend on them
  }
  return Run(options, shards, communicator, evaluate).run();
}

}  // namespace crossloom::trainer
