#include "benchmarks/step_bench.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <map>

#include "architectures/parameter_count.h"
#include "benchmarks/eager_step.h"
#include "benchmarks/probes.h"
#include "common/process_memory.h"

namespace crossloom::benchmarks {
namespace {

constexpr int64_t kMostDiscarded = 4;  // for every block that counts

/// One side of the comparison while it is in memory. Returns the loss of one step.
using Run = std::function<double()>;

Run fast_side(const StepShape& shape, const StepInputs& inputs) {
  const auto step = std::make_shared<FastStep>(shape, inputs);
  return
      [step, &inputs, number = int64_t{0}]() mutable { return step->run(inputs.batch, ++number); };
}

Run eager_side(const StepShape& shape, const StepInputs& inputs) {
  const auto step =
      std::make_shared<EagerStep>(*bench_transcoder(shape, inputs), step_options(shape));
  return [step, &inputs, number = int64_t{0}]() mutable {
    return step->run(inputs.x, inputs.y, ++number);
  };
}

struct Block {
  double step_s;
  double gemm_gflops;
};

class Probes {
 public:
  GemmProbe gemm;
  MemoryProbe memory;
  NoiseProbe noise;
};

class Measurement {
 public:
  Measurement(const StepBenchOptions& options, std::function<Run()> make)
      : options_(options), make_(std::move(make)) {}

  void start() {
    if (!run_) {
      run_ = make_();
      first_loss_ = run_();
      for (int64_t i = 1; i < options_.warm_up_steps; ++i) {
        run_();
      }
    }
  }
  void stop() { run_ = nullptr; }
  /// Measures until it has `wanted` undisturbed blocks, or too many were disturbed.
  void measure(int64_t wanted, Probes& probes) {
    start();
    while (std::ssize(blocks_) < wanted && discarded_ < kMostDiscarded * options_.blocks) {
      const bool quiet_before = probes.noise.is_quiet();
      const double gemm_before = probes.gemm.gflops();
      const int64_t faults_before = page_faults();
      const double seconds = seconds_of([&] {
        for (int64_t i = 0; i < options_.steps; ++i) {
          run_();
        }
      });
      page_faults_ += page_faults() - faults_before;
      steps_ += options_.steps;
      const double gemm = 0.5 * (gemm_before + probes.gemm.gflops());
      if (probes.noise.is_quiet() && quiet_before) {
        blocks_.push_back({seconds / static_cast<double>(options_.steps), gemm});
      } else {
        ++discarded_;
        noise_ = fmt::format("multiply-adds at {:.0f} of {:.0f} GFLOP/s",
                             probes.noise.last_gflops(), probes.noise.best_gflops());
      }
    }
  }
  /// Median over the blocks of what `of` says of each. Throws DataError when there are none.
  double median_of(const std::function<double(const Block&)>& of) const {
    if (blocks_.empty()) {
      throw DataError({.what = "No undisturbed measurement",
                       .expected = "a machine of which this process has all threads",
                       .got = fmt::format("{} disturbed blocks, no other; {}", discarded_, noise_),
                       .where = "bench",
                       .hint = "Stop what else runs here, or measure later."});
    }
    std::vector<double> values;
    for (const Block& block : blocks_) {
      values.push_back(of(block));
    }
    return median(values);
  }
  double seconds() const {
    return median_of([](const Block& block) { return block.step_s; });
  }
  double first_loss() const { return first_loss_; }
  int64_t discarded() const { return discarded_; }
  double page_faults_per_step() const {
    return steps_ > 0 ? static_cast<double>(page_faults_) / static_cast<double>(steps_) : 0.0;
  }

 private:
  const StepBenchOptions& options_;
  std::function<Run()> make_;
  Run run_;
  double first_loss_ = 0.0;
  std::vector<Block> blocks_;
  int64_t discarded_ = 0;
  int64_t page_faults_ = 0;
  int64_t steps_ = 0;
  std::string noise_;
};

/// Weights, gradients, moments and what autograd keeps, roughly.
double eager_bytes(const StepShape& shape, int64_t parameters) {
  const double pairs = 0.5 * static_cast<double>(shape.layers * (shape.layers + 1));
  const auto tokens = static_cast<double>(shape.tokens);
  return 20.0 * static_cast<double>(parameters) +
         12.0 * tokens * static_cast<double>(shape.layers * shape.features) +
         12.0 * tokens * pairs * static_cast<double>(shape.width);
}

void require_same_loss(double fast, double eager, double tolerance) {
  if (!(std::abs(fast - eager) <= tolerance * std::abs(eager))) {
    throw DataError({.what = "The two sides do not compute the same step",
                     .expected = fmt::format("a first loss of {:.7g}, as the eager side's", eager),
                     .got = fmt::format("{:.7g}", fast),
                     .where = "bench step",
                     .hint = "This is a bug of the program."});
  }
}

double pairs_of(const StepShape& shape) {
  const auto layers = static_cast<double>(shape.layers);
  return reads_rows_once(shape) ? layers : layers * (layers + 1.0) / 2.0;
}

/// Bytes of one parameter that its update reads and writes.
double moved_bytes(const StepShape& shape) {
  const double weight = shape.weights == "full" ? 4.0 : 2.0;
  const double moment = shape.states == "full" ? 4.0 : shape.states == "bfloat16" ? 2.0 : 1.0;
  return 2.0 * (weight + moment * (shape.beta1 > 0.0 ? 2.0 : 1.0));
}

/// Floors of the stages, by their names in FastStep::stages.
std::map<std::string, double> stage_floors(const StepBench& bench) {
  const auto t = static_cast<double>(bench.shape.tokens);
  const auto l = static_cast<double>(bench.shape.layers);
  const auto d = static_cast<double>(bench.shape.width);
  const auto f = static_cast<double>(bench.shape.features);
  const auto k = static_cast<double>(bench.shape.kept);
  const auto product = [&](double flop) { return 1e-9 * flop / bench.gemm_gflops; };
  const auto update = [&](double parameters) {
    return 1e-9 * moved_bytes(bench.shape) * parameters / bench.copy_gbs;
  };
  const double pairs = pairs_of(bench.shape);
  const double encoders = l * d * f;
  return {
      {"encode and select", product(2.0 * t * encoders)},
      {"decode", product(2.0 * t * pairs * k * d)},
      {"decode backward, applied",
       product(4.0 * t * pairs * k * d) + update(static_cast<double>(bench.parameters) - encoders)},
      {"encode backward, applied", product(2.0 * t * l * k * d) + update(encoders)}};
}

/// Alternates block by block, or where both sides do not fit, in two rounds with one in memory.
void alternate(Measurement& fast, Measurement& eager, const StepBenchOptions& options,
               bool both_fit, Probes& probes) {
  const int64_t round = both_fit ? 1 : (options.blocks + 1) / 2;
  for (int64_t wanted = round; wanted < options.blocks + round; wanted += round) {
    for (Measurement* side : {&fast, &eager}) {
      side->measure(std::min(wanted, options.blocks), probes);
      if (!both_fit) {
        side->stop();
      }
    }
  }
}

}  // namespace

trainer::MemoryPlan plan_step(const StepShape& shape) {
  const auto options = step_options(shape);
  const architectures::TranscoderShape sizes{shape.layers, shape.width, shape.features};
  const auto values = static_cast<double>(shape.tokens * shape.layers * shape.width);
  const double rows = 2.0 * (4.0 + 2.0) * values;  // x and y in float32 and bfloat16
  return trainer::plan_memory(options, sizes,
                              architectures::parameter_count(options.transcoder, sizes), rows, 1);
}

StepBench bench_step(const StepBenchOptions& options) {
  const auto& shape = options.shape;
  StepBench bench{.shape = shape, .threads = at::get_num_threads()};
  bench.parameters = architectures::parameter_count(step_options(shape).transcoder,
                                                    {shape.layers, shape.width, shape.features});
  bench.planned_bytes = resident_memory_bytes() + plan_step(shape).total();
  const StepInputs inputs(shape);
  const bool knows_peak = reset_peak_memory();
  Measurement fast(options, [&] { return fast_side(shape, inputs); });
  fast.start();
  bench.peak_bytes = knows_peak ? peak_memory_bytes() : 0.0;
  Probes probes;
  Measurement eager(options, [&] { return eager_side(shape, inputs); });
  if (options.against_eager) {
    const bool both_fit = eager_bytes(shape, bench.parameters) < 0.9 * available_memory_bytes();
    alternate(fast, eager, options, both_fit, probes);
    require_same_loss(fast.first_loss(), eager.first_loss(), shape.weights == "full" ? 1e-4 : 2e-2);
    bench.eager_s = eager.seconds();
  } else {
    fast.measure(options.blocks, probes);
  }
  eager.stop();
  fast.stop();
  bench.fast_s = fast.seconds();
  bench.gemm_gflops = fast.median_of([](const Block& block) { return block.gemm_gflops; });
  bench.gemm_equivalents =
      fast.median_of([](const Block& block) { return block.step_s * block.gemm_gflops; });
  bench.copy_gbs = probes.memory.copy_gbs();
  bench.read_gbs = probes.memory.read_gbs();
  bench.page_faults = fast.page_faults_per_step();
  auto floors = stage_floors(bench);
  for (const auto& [name, seconds] : floors) {
    bench.floor_s += seconds;
  }
  bench.discarded_blocks = fast.discarded() + eager.discarded();
  FastStep apart(shape, inputs);
  for (int64_t step = 1; step <= std::max<int64_t>(2, options.warm_up_steps); ++step) {
    bench.stages.clear();
    for (const auto& [name, seconds] : apart.stages(inputs, step)) {
      bench.stages.push_back({name, seconds, floors[name]});
    }
  }
  return bench;
}

Json StepBench::to_json() const {
  Json parts = Json::object();
  for (const auto& stage : stages) {
    parts[stage.name] = {
        {"seconds", stage.seconds},
        {"share_of_floor", stage.floor_s > 0.0 ? Json(stage.floor_s / stage.seconds) : Json()}};
  }
  return {{"name", "step " + shape.architecture},
          {"shape", shape_json(shape)},
          {"parameters", parameters},
          {"dtype", shape.weights == "full" ? "float32" : shape.weights},
          {"states", shape.states == "full" ? "float32" : shape.states},
          {"beta1", shape.beta1},
          {"threads", threads},
          {"fast_s", fast_s},
          {"eager_s", eager_s > 0.0 ? Json(eager_s) : Json()},
          {"ratio", eager_s > 0.0 ? Json(eager_s / fast_s) : Json()},
          {"gemm_gflops", gemm_gflops},
          {"copy_gbs", copy_gbs},
          {"read_gbs", read_gbs},
          {"gemm_equivalents", gemm_equivalents},
          {"share_of_floor", floor_s / fast_s},
          {"stages", parts},
          {"peak_bytes", peak_bytes > 0.0 ? Json(peak_bytes) : Json()},
          {"planned_bytes", planned_bytes},
          {"page_faults_per_step", page_faults},
          {"discarded_blocks", discarded_blocks}};
}

std::string StepBench::text() const {
  std::string text = fmt::format(
      "step {}  T {}  L {}  D {}  F {}  K {}  {} M parameters, weights {}, states {}, β₁ {}, {} "
      "threads\n"
      "  fast    {:8.3f} s   {:.0f} GEMM-equivalents   floor {:.3f} s ({:.0f} %)   peak {:.2f} "
      "GB, planned {:.2f}\n",
      shape.architecture, shape.tokens, shape.layers, shape.width, shape.features, shape.kept,
      parameters / 1'000'000, shape.weights, shape.states, shape.beta1, threads, fast_s,
      gemm_equivalents, floor_s, 100.0 * floor_s / fast_s, 1e-9 * peak_bytes, 1e-9 * planned_bytes);
  if (eager_s > 0.0) {
    text += fmt::format("  eager   {:8.3f} s   {:.2f} times as long\n", eager_s, eager_s / fast_s);
  }
  for (const auto& stage : stages) {
    text += fmt::format("    {:<26} {:8.3f} s   {:4.0f} GEMM-equivalents", stage.name,
                        stage.seconds, stage.seconds * gemm_gflops);
    text += stage.floor_s > 0.0
                ? fmt::format("   {:3.0f} % of its floor\n", 100.0 * stage.floor_s / stage.seconds)
                : "\n";
  }
  return text + fmt::format(
                    "  probes: GEMM {:.0f} GFLOP/s, copy {:.1f} GB/s, read {:.1f} GB/s; {} "
                    "blocks disturbed; {:.0f} page faults in a step\n",
                    gemm_gflops, copy_gbs, read_gbs, discarded_blocks, page_faults);
}

}  // namespace crossloom::benchmarks
