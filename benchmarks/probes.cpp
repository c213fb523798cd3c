#include "benchmarks/probes.h"

#include <ATen/Parallel.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/rand.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "benchmarks/probe_loops.h"

namespace crossloom::benchmarks {
namespace {

constexpr int64_t kGemmSide = 2048;
constexpr size_t kBuffer_elements = size_t{1} << 27;  // 512 MiB of float32
constexpr int64_t kFma_rounds = 16'000'000;           // about 40 ms: a thread's waking is not noise

/// Calls body(first, last) once per thread on equal parts of [0, count).
void for_threads(int64_t count, const std::function<void(int64_t, int64_t)>& body) {
  const int64_t threads = at::get_num_threads();
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      body(count * i / threads, count * (i + 1) / threads);
    }
  });
}

}  // namespace

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

GemmProbe::GemmProbe()
    : a_(at::rand({kGemmSide, kGemmSide})),
      b_(at::rand({kGemmSide, kGemmSide})),
      c_(at::mm(a_, b_)) {}

double GemmProbe::gflops() {
  const double flop = 2.0 * static_cast<double>(kGemmSide * kGemmSide * kGemmSide);
  return 1e-9 * flop / seconds_of([&] { at::mm_out(c_, a_, b_); });
}

MemoryProbe::MemoryProbe() : from_(kBuffer_elements, 1.0F), to_(kBuffer_elements, 0.0F) {}

double MemoryProbe::copy_gbs() {
  const double bytes = 2.0 * static_cast<double>(kBuffer_elements * sizeof(float));
  const auto rate = [&](auto copy) {
    return 1e-9 * bytes / seconds_of([&] {
             for_threads(static_cast<int64_t>(kBuffer_elements), [&](int64_t first, int64_t last) {
               copy(to_.data() + first, from_.data() + first, last - first);
             });
           });
  };
  const double past_caches = rate([](float* to, const float* from, int64_t count) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
  });
  return std::max(past_caches, rate(copy_through_caches));
}

double MemoryProbe::read_gbs() {
  const double bytes = static_cast<double>(kBuffer_elements * sizeof(float));
  return 1e-9 * bytes / seconds_of([&] {
           for_threads(static_cast<int64_t>(kBuffer_elements), [&](int64_t first, int64_t last) {
             keep(read_all(from_.data() + first, last - first));
           });
         });
}

bool NoiseProbe::is_quiet() {
  const double seconds = seconds_of([&] {
    for_threads(at::get_num_threads(), [&](int64_t, int64_t) { keep(multiply_add(kFma_rounds)); });
  });
  last_ = 1e-9 * at::get_num_threads() * flop_of_rounds(kFma_rounds) / seconds;
  best_ = std::max(best_, last_);
  return last_ >= 0.95 * best_;
}

}  // namespace crossloom::benchmarks
