#include "benchmarks/kernel_bench.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include "benchmarks/probes.h"

namespace crossloom::benchmarks {
namespace {

/// Work that repeats, and what it does in giga-units.
struct Kernel {
  std::function<void()> run;
  double giga = 0.0;
};

Kernel encode_kernel(const StepShape& shape) {
  StepShape layer = shape;
  layer.layers = 1;
  const auto inputs = std::make_shared<StepInputs>(layer);
  const std::shared_ptr<architectures::Transcoder> transcoder = bench_transcoder(layer, *inputs);
  return {[=] {
            transcoder->filter(
                0, transcoder->propose(0, inputs->x[0], architectures::Watch::kGradients));
          },
          2e-9 * static_cast<double>(shape.tokens * shape.width * shape.features)};
}

Kernel decode_kernel(const StepShape& shape) {
  const auto inputs = std::make_shared<StepInputs>(shape);
  const std::shared_ptr<architectures::Transcoder> transcoder = bench_transcoder(shape, *inputs);
  architectures::Codes codes;
  int64_t entries = 0;  // (source, target) pairs of coded entries
  for (int64_t l = 0; l < shape.layers; ++l) {
    codes.push_back(
        transcoder->filter(l, transcoder->propose(l, inputs->x[static_cast<size_t>(l)])));
    entries += codes.back().count() * (reads_rows_once(shape) ? 1 : shape.layers - l);
  }
  const auto y_hat = std::make_shared<std::vector<at::Tensor>>();
  return {[=] {
            transcoder->decode(codes, inputs->x, {0, shape.width}, *y_hat);
          },
          4e-9 * static_cast<double>(entries * shape.width)};
}

Kernel adam_kernel(const StepShape& shape) {
  const int64_t rows = shape.layers * shape.layers * shape.features / 2;
  const int64_t count = rows * shape.width;
  const auto moments = std::make_shared<trainer::Moments>(trainer::Range{0, count}, at::kFloat);
  const std::shared_ptr<trainer::Application> adam = trainer::exact_application(
      {"W", at::rand({rows, shape.width})}, 0, *moments, trainer::AdamOptions());
  const at::Tensor gradient = at::rand({count});
  return {[=, step = int64_t{0}]() mutable {
            adam->start(++step, 1e-6, 1.0);
            adam->apply_part(moments->own, gradient);
          },
          28e-9 * static_cast<double>(count)};
}

KernelBench measure(const std::string& what, const StepShape& shape, const Kernel& kernel,
                    const std::function<double()>& probe, const char* unit, int64_t repeats) {
  kernel.run();
  probe();
  std::vector<double> seconds;
  std::vector<double> probes;
  for (int64_t i = 0; i < repeats; ++i) {
    probes.push_back(probe());
    seconds.push_back(seconds_of(kernel.run));
  }
  KernelBench bench{.name = what, .shape = shape, .threads = at::get_num_threads(), .unit = unit};
  bench.seconds = median(seconds);
  bench.rate = kernel.giga / bench.seconds;
  bench.probe = median(probes);
  return bench;
}

}  // namespace

KernelBench bench_kernel(const std::string& what, const StepShape& shape, int64_t repeats) {
  if (what == "encode" || what == "gemm") {
    GemmProbe gemm;
    const auto probe = [&] { return gemm.gflops(); };
    if (what == "encode") {
      return measure(what, shape, encode_kernel(shape), probe, "GFLOP/s", repeats);
    }
    const at::Tensor x = at::rand({shape.tokens, shape.width});
    const at::Tensor w = at::rand({shape.features, shape.width});
    const Kernel product{[=] { at::mm(x, w.t()); },
                         2e-9 * static_cast<double>(shape.tokens * shape.width * shape.features)};
    return measure(what, shape, product, probe, "GFLOP/s", repeats);
  }
  MemoryProbe memory;
  if (what == "decode") {
    return measure(
        what, shape, decode_kernel(shape), [&] { return memory.read_gbs(); }, "GB/s", repeats);
  }
  if (what == "adam") {
    return measure(
        what, shape, adam_kernel(shape), [&] { return memory.copy_gbs(); }, "GB/s", repeats);
  }
  require_one_of("what", what, {"encode", "decode", "adam", "gemm", "copy"});
  const at::Tensor from =
      at::rand({shape.layers * shape.layers * shape.features * shape.width / 2});
  const at::Tensor to = at::empty_like(from);
  const Kernel copy{[=]() mutable { at::Tensor(to).copy_(from); },
                    2e-9 * static_cast<double>(from.nbytes())};
  return measure(
      what, shape, copy, [&] { return memory.copy_gbs(); }, "GB/s", repeats);
}

Json KernelBench::to_json() const {
  return {{"name", name},
          {"shape", shape_json(shape)},
          {"architecture", shape.architecture},
          {"dtype", "float32"},
          {"threads", threads},
          {"fast_s", seconds},
          {"rate", rate},
          {"probe", probe},
          {"unit", unit},
          {"share_of_probe", share()}};
}

std::string KernelBench::text() const {
  return fmt::format(
      "{:<7} {}  T {}  L {}  D {}  F {}  K {}: {:.1f} {}, {:.0f} % of the probe's "
      "{:.1f} ({} threads)\n",
      name, shape.architecture, shape.tokens, shape.layers, shape.width, shape.features, shape.kept,
      rate, unit, 100.0 * share(), probe, threads);
}

}  // namespace crossloom::benchmarks
