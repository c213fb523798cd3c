#include "trainer/batch_bar.h"

#include <algorithm>
#include <functional>

namespace crossloom::trainer {
namespace {

/// The `count` largest values, any order, padded with zeros, into `into`.
void largest_values(const at::Tensor& values, int64_t count, double* into) {
  const int64_t taken = std::min(count, values.numel());
  const at::Tensor best =
      std::get<0>(at::topk(values, taken, 0, true, /*sorted=*/false)).to(at::kDouble);
  std::copy_n(best.const_data_ptr<double>(), taken, into);
  std::fill(into + taken, into + count, 0.0);
}

}  // namespace

std::vector<double> batch_bars(
    const std::vector<const std::vector<architectures::Candidates>*>& candidates, int64_t kept,
    const Exchange& exchange) {
  const size_t layers = candidates.front()->size();
  std::vector<double> bars;
  for (size_t l = 0; l < layers; ++l) {
    std::vector<double> mine(candidates.size() * static_cast<size_t>(kept));
    for (size_t j = 0; j < candidates.size(); ++j) {
      largest_values((*candidates[j])[l].value, kept, mine.data() + j * static_cast<size_t>(kept));
    }
    std::vector<double> all = exchange.gather_shards(mine, kept);
    const auto last = all.begin() + (kept - 1);
    std::nth_element(all.begin(), last, all.end(), std::greater<>());
    bars.push_back(*last);
  }
  return bars;
}

}  // namespace crossloom::trainer
