// Compiled once per instruction set by Highway (foreach_target), which also chooses at run time.
#include "benchmarks/probe_loops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "benchmarks/probe_loops.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace crossloom::benchmarks::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int kChains = 10;  // hide the latency of a multiply-add on two units

float ReadAll(const float* data, int64_t count) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto a = hn::Zero(d);
  auto b = hn::Zero(d);
  for (int64_t i = 0; i + 2 * lanes <= count; i += 2 * lanes) {
    a = hn::Add(a, hn::LoadU(d, data + i));
    b = hn::Add(b, hn::LoadU(d, data + i + lanes));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(a, b)));
}

void CopyThroughCaches(float* HWY_RESTRICT to, const float* HWY_RESTRICT from, int64_t count) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::LoadU(d, from + i), d, to + i);
  }
}

float MultiplyAdd(int64_t rounds) {
  const hn::ScalableTag<float> d;
  hn::Vec<decltype(d)> chains[kChains];
  for (int c = 0; c < kChains; ++c) {
    chains[c] = hn::Set(d, 1.0F + static_cast<float>(c));
  }
  const auto factor = hn::Set(d, 0.999F);
  const auto addend = hn::Set(d, 0.001F);
  for (int64_t r = 0; r < rounds; ++r) {
    for (int c = 0; c < kChains; ++c) {
      chains[c] = hn::MulAdd(chains[c], factor, addend);
    }
  }
  auto sum = chains[0];
  for (int c = 1; c < kChains; ++c) {
    sum = hn::Add(sum, chains[c]);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

double FlopOfRounds(int64_t rounds) {
  const hn::ScalableTag<float> d;
  return 2.0 * kChains * static_cast<double>(hn::Lanes(d)) * static_cast<double>(rounds);
}

}  // namespace crossloom::benchmarks::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace crossloom::benchmarks {

HWY_EXPORT(ReadAll);
HWY_EXPORT(CopyThroughCaches);
HWY_EXPORT(MultiplyAdd);
HWY_EXPORT(FlopOfRounds);

float read_all(const float* data, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(ReadAll)(data, count);
}
void copy_through_caches(float* to, const float* from, int64_t count) {
  HWY_DYNAMIC_DISPATCH(CopyThroughCaches)(to, from, count);
}
float multiply_add(int64_t rounds) {
  return HWY_DYNAMIC_DISPATCH(MultiplyAdd)(rounds);
}
double flop_of_rounds(int64_t rounds) {
  return HWY_DYNAMIC_DISPATCH(FlopOfRounds)(rounds);
}
void keep(float value) {
  asm volatile("" : : "x"(value));
}

}  // namespace crossloom::benchmarks
#endif
