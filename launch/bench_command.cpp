// crossloom bench WHAT: measurements as ratios to a probe of the machine taken in the same run.
#include <ATen/Parallel.h>

#include "architectures/registry.h"
#include "benchmarks/forward_bench.h"
#include "benchmarks/kernel_bench.h"
#include "benchmarks/step_bench.h"
#include "common/format.h"
#include "common/log.h"
#include "common/process_memory.h"
#include "launch/commands.h"
#include "launch/writable.h"
#include "trainer/train_options.h"

namespace crossloom::launch {
namespace {

struct BenchOptions : Options {
  std::string what = "step";
  std::string architecture = "clt-topk";
  std::string against;
  std::string json;
  int64_t tokens = 1024;
  int64_t layers = 12;
  int64_t width = 768;
  int64_t features = 3072;
  int64_t k = 32;
  std::string weights = "full";
  std::string states = "full";
  double beta1 = 0.9;
  int64_t repeats = 5;
  int64_t steps = 4;
  std::string model;
  std::string dtype = "both";
  void visit(OptionVisitor& v) override {
    v.field("what", what, "step, encode, decode, adam, gemm, copy or forward");
    v.field("architecture", architecture, "row of the registry; all: every row");
    v.field("against", against, "step: eager, the step a PyTorch user writes; empty: nothing");
    v.field("json", json, "file for the results; empty: none");
    v.field("tokens", tokens, "T; forward: positions per forward");
    v.field("layers", layers, "L");
    v.field("width", width, "D");
    v.field("features", features, "F");
    v.field("k", k, "K");
    v.field("weights", weights, "step: full or bfloat16");
    v.field("states", states, "step: full, bfloat16 or 8bit");
    v.field("beta1", beta1, "step: 0: no first moment");
    v.field("repeats", repeats, "undisturbed blocks, or pairs of work and probe; medians are told");
    v.field("steps", steps, "step: steps of a block");
    v.field("model", model,
            "forward: Hugging Face folder; empty: random weights of SmolLM2-135M's shape");
    v.field("dtype", dtype, "forward: float32, bfloat16 or both");
  }
};

void run_forward(const BenchOptions& options, const std::string& dtype) {
  const auto type = compute_type("dtype", dtype);
  const auto model = options.model.empty() ? benchmarks::random_model_of_quickstart_shape(type)
                                           : models::Transformer::load(options.model, type);
  const auto bench = benchmarks::bench_forward(model, options.tokens, options.repeats);
  fmt::print(
      "forward {:<9} S {:<5} {:6.1f} GFLOP/s   GEMM probe at its shapes {:6.1f} GFLOP/s   "
      "share {:.0f} %   {:.0f} tokens/s   ({} threads)\n",
      dtype, options.tokens, bench.forward_gflop / bench.forward_s, bench.gemm_gflop / bench.gemm_s,
      100.0 * bench.share(), double(options.tokens) / bench.forward_s, at::get_num_threads());
}

benchmarks::StepShape shape_of(const BenchOptions& options, const std::string& architecture) {
  return {.architecture = architecture,
          .tokens = options.tokens,
          .layers = options.layers,
          .width = options.width,
          .features = options.features,
          .kept = options.k,
          .weights = options.weights,
          .states = options.states,
          .beta1 = options.beta1};
}

Json run_one(const BenchOptions& options, const std::string& architecture) {
  const auto shape = shape_of(options, architecture);
  Json row;
  std::string text;
  if (options.what == "step") {
    const auto bench = benchmarks::bench_step({.shape = shape,
                                               .against_eager = options.against == "eager",
                                               .blocks = options.repeats,
                                               .steps = options.steps});
    row = bench.to_json();
    text = bench.text();
  } else {
    const auto bench = benchmarks::bench_kernel(options.what, shape, options.repeats);
    row = bench.to_json();
    text = bench.text();
  }
  fmt::print("{}", text);
  std::fflush(stdout);
  return row;
}

void check(const BenchOptions& options) {
  require_one_of("what", options.what,
                 {"step", "encode", "decode", "adam", "gemm", "copy", "forward"});
  require_one_of("dtype", options.dtype, {"float32", "bfloat16", "both"});
  require_one_of("weights", options.weights, {"full", "bfloat16"});
  require_one_of("states", options.states, {"full", "bfloat16", "8bit"});
  trainer::require_range("beta1", options.beta1, 0.0, 0.999999);
  if (!options.against.empty()) {
    require_one_of("against", options.against, {"eager"});
  }
  for (const auto& [key, value] : {std::pair{"tokens", options.tokens},
                                   {"layers", options.layers},
                                   {"width", options.width},
                                   {"features", options.features},
                                   {"k", options.k},
                                   {"repeats", options.repeats},
                                   {"steps", options.steps}}) {
    require_at_least(key, value, 1);
  }
  if (options.architecture != "all") {
    architectures::TranscoderOptions transcoder;
    transcoder.architecture = options.architecture;
    transcoder.features = options.features;
    transcoder.k = options.k;
    architectures::Registry::instance().check(transcoder);
  }
}

std::vector<std::string> architectures_of(const BenchOptions& options) {
  return options.architecture == "all" ? architectures::Registry::instance().names()
                                       : std::vector<std::string>{options.architecture};
}

void print_plans(const BenchOptions& options) {
  for (const auto& architecture : architectures_of(options)) {
    const auto plan = benchmarks::plan_step(shape_of(options, architecture));
    log::info("{}: {}", architecture, plan.text(resident_memory_bytes()));
  }
}

void run(BenchOptions& options, Context& context) {
  check(options);
  if (context.communicator.rank() != 0) {
    return;
  }
  if (context.dry_run) {
    if (options.what == "step") {
      print_plans(options);
    }
    return;
  }
  if (options.what == "forward") {
    for (const char* dtype : {"float32", "bfloat16"}) {
      if (options.dtype == "both" || options.dtype == dtype) {
        run_forward(options, dtype);
      }
    }
    return;
  }
  if (!options.json.empty()) {
    require_writable(options.json);
    make_parent_folder(options.json);
  }
  Json rows = Json::array();
  for (const auto& architecture : architectures_of(options)) {
    rows.push_back(run_one(options, architecture));
    if (!options.json.empty()) {
      write_json_file(options.json, rows);  // after every row: a long table may be interrupted
    }
  }
}

}  // namespace

Command bench_command() {
  return make_command<BenchOptions>("bench", "measure, as ratios to a probe of the machine",
                                    {"what"}, run);
}

}  // namespace crossloom::launch
