#include "trainer/batch_bar.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <span>

#include "architectures/kernels/dispatch.h"

namespace crossloom::trainer {
namespace {

/// The `count` largest values, any order, padded with zeros, into `into`.
void largest_values(const at::Tensor& values, int64_t count, double* into) {
  const int64_t taken = std::min(count, values.numel());
  architectures::kernels::dispatch_real(values.scalar_type(), [&](auto real) {
    using Real = decltype(real);
    const Real* from = values.const_data_ptr<Real>();
    std::vector<Real> best(from, from + values.numel());
    std::nth_element(best.begin(), best.begin() + taken, best.end(), std::greater<>());
    std::copy_n(best.begin(), taken, into);
  });
  std::fill(into + taken, into + count, 0.0);
}

}  // namespace

std::vector<double> batch_bars(
    const std::vector<const std::vector<architectures::Candidates>*>& candidates, int64_t kept,
    const Exchange& exchange) {
  const auto layers = std::ssize(*candidates.front());
  const auto shards = std::ssize(candidates);
  std::vector<double> best(static_cast<size_t>(layers * shards * kept));  // [L, shards, kept]
  at::parallel_for(0, layers * shards, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const auto& layer =
          (*candidates[static_cast<size_t>(i % shards)])[static_cast<size_t>(i / shards)];
      largest_values(layer.value, kept, best.data() + i * kept);
    }
  });
  std::vector<double> bars;
  for (int64_t l = 0; l < layers; ++l) {
    const auto mine = std::span(best).subspan(static_cast<size_t>(l * shards * kept),
                                              static_cast<size_t>(shards * kept));
    std::vector<double> all = exchange.gather_shards(mine, kept);
    const auto last = all.begin() + (kept - 1);
    std::nth_element(all.begin(), last, all.end(), std::greater<>());
    bars.push_back(*last);
  }
  return bars;
}

}  // namespace crossloom::trainer
