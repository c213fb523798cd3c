// One training step of a transcoder, stage by stage, at the size of the quickstart's main job, as
// seconds and as ratios to probes of the same run (the machine's speed moves with its neighbours):
// a GEMM of the encoder's shape for the FLOP rate, a copy of the largest decoder for bandwidth.
//
//   step_bench [architecture] [tokens] [layers] [width] [features] [k] [threads] [repeats]
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "architectures/losses.h"
#include "architectures/registry.h"
#include "common/rng.h"

namespace crossloom::architectures {
namespace {

struct Setup {
  TranscoderOptions options;
  TranscoderShape shape;
  int64_t tokens = 512;
  int threads = 1;
  int repeats = 3;
};

/// Best of the repeats per stage: wall seconds, and CPU seconds of the process, which neighbours on
/// a shared machine disturb less.
class Stopwatch {
 public:
  struct Best {
    double wall_s = 1e30;
    double cpu_s = 1e30;
  };

  void time(const std::string& stage, const std::function<void()>& body) {
    const std::clock_t cpu_start = std::clock();
    const auto start = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
    const double cpu_s = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC;
    const auto [entry, is_new] = best_.try_emplace(stage);
    if (is_new) {
      order_.push_back(stage);
    }
    entry->second.wall_s = std::min(entry->second.wall_s, wall.count());
    entry->second.cpu_s = std::min(entry->second.cpu_s, cpu_s);
  }
  Best best(const std::string& stage) const { return best_.at(stage); }
  const std::vector<std::string>& stages() const { return order_; }

 private:
  std::map<std::string, Best> best_;
  std::vector<std::string> order_;
};

class BufferSink final : public ParameterSink {
 public:
  explicit BufferSink(const std::vector<Parameter>& parameters) {
    for (const Parameter& parameter : parameters) {
      buffers_.push_back(at::zeros_like(parameter.value));
    }
  }
  at::Tensor gradient(size_t parameter) override { return buffers_.at(parameter); }
  void finished(size_t /*parameter*/) override {}

 private:
  std::vector<at::Tensor> buffers_;
};

/// Uniform in ±1, [T, D] per layer.
std::vector<at::Tensor> random_rows(const Setup& setup, uint64_t key) {
  std::vector<at::Tensor> rows;
  for (int64_t layer = 0; layer < setup.shape.layers; ++layer) {
    const Rng rng = Rng(key, Purpose::kTest).with(static_cast<uint64_t>(layer));
    rows.push_back(at::empty({setup.tokens, setup.shape.width}, at::kFloat));
    auto* data = rows.back().mutable_data_ptr<float>();
    for (int64_t i = 0; i < rows.back().numel(); ++i) {
      data[i] = 2.0F * rng.uniform(static_cast<uint64_t>(i)) - 1.0F;
    }
  }
  return rows;
}

void run_step(const Transcoder& transcoder, const std::vector<at::Tensor>& x,
              const std::vector<at::Tensor>& y, BufferSink& sink, Stopwatch& watch) {
  const ColumnRange columns{0, transcoder.shape().width};
  const int64_t layers = transcoder.shape().layers;
  std::vector<Candidates> candidates;
  Codes codes;
  std::vector<at::Tensor> y_hat;
  std::vector<at::Tensor> y_grad(static_cast<size_t>(layers));
  CodeGradients value_grad;
  const auto for_layers = [layers](const std::function<void(int64_t, size_t)>& body) {
    for (int64_t layer = 0; layer < layers; ++layer) {
      body(layer, static_cast<size_t>(layer));
    }
  };
  watch.time("propose", [&] {
    for_layers([&](int64_t layer, size_t l) {
      candidates.push_back(transcoder.propose(layer, x[l], Watch::kGradients));
    });
  });
  watch.time("filter", [&] {
    for_layers(
        [&](int64_t layer, size_t l) { codes.push_back(transcoder.filter(layer, candidates[l])); });
  });
  watch.time("decode", [&] { transcoder.decode(codes, x, columns, y_hat); });
  watch.time("loss", [&] {
    for_layers([&](int64_t /*layer*/, size_t l) {
      squared_error_backward(y[l], y_hat[l], 1.0, y_grad[l]);
    });
  });
  watch.time("decode_backward",
             [&] { value_grad = transcoder.decode_backward(codes, x, y_grad, columns, {}, sink); });
  watch.time("encode_backward", [&] {
    for_layers([&](int64_t layer, size_t l) {
      transcoder.encode_backward(layer, x[l], codes[l], value_grad[l], {}, sink);
    });
  });
}

void print_results(const Setup& setup, const Stopwatch& watch, double copied_bytes) {
  const auto t = static_cast<double>(setup.tokens);
  const auto d = static_cast<double>(setup.shape.width);
  const auto l = static_cast<double>(setup.shape.layers);
  const double pairs = setup.options.architecture.starts_with("clt") ? l * (l + 1) / 2 : l;
  const double gemm_gflop = 2e-9 * t * d * static_cast<double>(setup.shape.features);
  const double product_gflop = 2e-9 * t * static_cast<double>(setup.options.k) * pairs * d;
  const std::map<std::string, double> gflop = {{"propose", gemm_gflop * l},
                                               {"decode", product_gflop},
                                               {"decode_backward", 2 * product_gflop}};
  const double gemm_rate = gemm_gflop / watch.best("probe: one GEMM").wall_s;
  std::printf("probes: GEMM %.1f GFLOP/s, copy %.1f GB/s (read + write)\n", gemm_rate,
              2e-9 * copied_bytes / watch.best("probe: copy").wall_s);
  Stopwatch::Best total{0.0, 0.0};
  for (const std::string& stage : watch.stages()) {
    if (stage.starts_with("probe")) {
      continue;
    }
    const Stopwatch::Best best = watch.best(stage);
    total.wall_s += best.wall_s;
    total.cpu_s += best.cpu_s;
    std::printf("%-16s %8.3f s  %8.3f cpu s", stage.c_str(), best.wall_s, best.cpu_s);
    if (const auto known = gflop.find(stage); known != gflop.end()) {
      const double rate = known->second / best.wall_s;
      std::printf("  %7.1f GFLOP/s  %5.2f of the GEMM probe", rate, rate / gemm_rate);
    }
    std::printf("\n");
  }
  std::printf("%-16s %8.3f s  %8.3f cpu s  = %.0f tokens/s\n", "step", total.wall_s, total.cpu_s,
              t / total.wall_s);
}

void run(const Setup& setup) {
  at::set_num_threads(setup.threads);
  const auto transcoder = Registry::instance().create(setup.options, setup.shape, at::kFloat);
  const at::Tensor& largest =
      std::max_element(
          transcoder->parameters().begin(), transcoder->parameters().end(),
          [](const Parameter& a, const Parameter& b) { return a.value.numel() < b.value.numel(); })
          ->value;
  const auto x = random_rows(setup, 1);
  const auto y = random_rows(setup, 2);
  BufferSink sink(transcoder->parameters());
  const at::Tensor copy = at::empty_like(largest);
  const at::Tensor weight = transcoder->parameters().front().value;  // [F, D]
  Stopwatch watch;
  std::printf("%s\nT = %lld, %d threads, best of %d\n", transcoder->describe().c_str(),
              static_cast<long long>(setup.tokens), setup.threads, setup.repeats);
  for (int repeat = 0; repeat < setup.repeats; ++repeat) {
    watch.time("probe: one GEMM", [&] { at::mm(x.front(), weight.t()); });
    watch.time("probe: copy", [&] { copy.copy_(largest); });
    run_step(*transcoder, x, y, sink, watch);
  }
  print_results(setup, watch, static_cast<double>(largest.nbytes()));
}

}  // namespace
}  // namespace crossloom::architectures

int main(int argc, char** argv) {
  const auto number = [&](int place, int64_t fallback) {
    return argc > place ? static_cast<int64_t>(std::atoll(argv[place])) : fallback;
  };
  crossloom::architectures::Setup setup;
  if (argc > 1) {
    setup.options.architecture = argv[1];
  }
  setup.tokens = number(2, 512);
  setup.shape = {number(3, 30), number(4, 576), number(5, 576)};
  setup.options.features = setup.shape.features;
  setup.options.k = number(6, 16);
  setup.threads = static_cast<int>(number(7, 1));
  setup.repeats = static_cast<int>(number(8, 3));
  try {
    crossloom::architectures::run(setup);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
