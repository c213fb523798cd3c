// crossloom bench WHAT: measurements as ratios to a probe of the machine taken in the same run.
#include "benchmarks/forward_bench.h"
#include "common/format.h"
#include "launch/commands.h"

#include <ATen/Parallel.h>

namespace crossloom::launch {
namespace {

struct BenchOptions : Options {
  std::string what = "forward";
  std::string model;
  std::string dtype = "both";
  int64_t tokens = 512;
  int64_t repeats = 9;
  void visit(OptionVisitor& v) override {
    v.field("what", what, "forward");
    v.field("model", model, "Hugging Face folder; empty: random weights of SmolLM2-135M's shape");
    v.field("dtype", dtype, "float32, bfloat16 or both");
    v.field("tokens", tokens, "positions per forward (S)");
    v.field("repeats", repeats, "interleaved pairs of forward and probe; medians are printed");
  }
};

void print_forward(const BenchOptions& options, const std::string& dtype) {
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

void run(BenchOptions& options, Context& context) {
  require_one_of("what", options.what, {"forward"});
  require_one_of("dtype", options.dtype, {"float32", "bfloat16", "both"});
  require_at_least("tokens", options.tokens, 1);
  require_at_least("repeats", options.repeats, 1);
  if (context.dry_run || context.communicator.rank() != 0) {
    return;
  }
  for (const char* dtype : {"float32", "bfloat16"}) {
    if (options.dtype == "both" || options.dtype == dtype) {
      print_forward(options, dtype);
    }
  }
}

}  // namespace

Command bench_command() {
  return make_command<BenchOptions>("bench", "measure, as ratios to a probe of the machine",
                                    {"what"}, run);
}

}  // namespace crossloom::launch
