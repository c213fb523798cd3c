#include "architectures/kernels/screened_batch_topk.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "architectures/kernels/panels.h"
#include "architectures/kernels/survivors.h"

namespace crossloom::architectures::kernels {
namespace {

constexpr int64_t kSampledFeatures = 128;  // whose estimates the first bar comes from
constexpr double kSlack = 1.15;            // of entries that the first bar lets through
constexpr double kMoreSlack = 2.0;         // of the next bar, when they were too few

/// Estimates of about kSampledFeatures features, evenly spaced.
std::vector<float> sampled_estimates(const Estimates& estimates) {
  const int64_t step = std::max<int64_t>(1, estimates.features() / kSampledFeatures);
  const int64_t tokens = estimates.count();
  std::vector<float> sample;
  for (int64_t f = 0; f < estimates.features(); f += step) {
    sample.resize(sample.size() + static_cast<size_t>(tokens));
    estimates_of(estimates.tokens(), estimates.feature(f),
                 sample.data() + std::ssize(sample) - tokens);
  }
  return sample;
}

/// The `rank`-th largest, from 1; reorders.
float largest_but(std::vector<float>& numbers, int64_t rank) {
  const auto place = numbers.begin() + (rank - 1);
  std::nth_element(numbers.begin(), place, numbers.end(), std::greater<>());
  return *place;
}

struct Likely {
  Survivors survivors;
  std::vector<float> bars;  // [T], all the same
};

/// At least `kept` entries, at most `most`, whose estimates are positive and reach a bar.
std::optional<Likely> likely_entries(const Estimates& estimates, int64_t kept, int64_t most) {
  const int64_t entries = estimates.count() * estimates.features();
  std::vector<float> sample = sampled_estimates(estimates);
  for (const double slack : {kSlack, kMoreSlack}) {
    const double share = slack * static_cast<double>(kept) / static_cast<double>(entries);
    const auto rank = static_cast<int64_t>(share * static_cast<double>(sample.size())) + 1;
    if (rank > std::ssize(sample)) {
      return std::nullopt;
    }
    Likely likely{.survivors = {},
                  .bars = std::vector<float>(static_cast<size_t>(estimates.count()),
                                             largest_but(sample, rank))};
    likely.survivors =
        survivors_of(estimates.features(), estimates.count(), [&](int64_t f, int32_t* found) {
          return likely_tokens(estimates.tokens(), estimates.feature(f), likely.bars.data(), found);
        });
    if (likely.survivors.count() > most) {
      return std::nullopt;
    }
    if (likely.survivors.count() >= kept) {
      return likely;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<LayerCodes> screened_batch_topk(const at::Tensor& x, const at::Tensor& weight,
                                              const at::Tensor& bias, int64_t kept) {
  const int64_t tokens = x.size(0);
  const int64_t features = weight.size(0);
  const int64_t most = tokens * features / kEntriesPerSurvivor;
  if (kept > most) {
    return std::nullopt;
  }
  Estimates estimates(x, weight, bias);
  if (!estimates.usable()) {
    return std::nullopt;
  }
  const at::Tensor panels = panels_of(x);
  estimates.multiply();
  auto likely = likely_entries(estimates, kept, most);
  if (!likely) {
    return std::nullopt;
  }
  compute_values(x, panels, weight, bias, likely->survivors);
  const auto* values = likely->survivors.value.const_data_ptr<float>();
  std::vector<float> known(values, values + likely->survivors.count());
  const std::vector<float> least(static_cast<size_t>(tokens), largest_but(known, kept));
  if (least.front() <= 0.0F) {
    return std::nullopt;
  }
  Survivors possible = survivors_of(features, tokens, [&](int64_t f, int32_t* found) {
    return possible_tokens(estimates.tokens(), estimates.feature(f), likely->bars.data(),
                           least.data(), found);
  });
  if (possible.count() > most) {
    return std::nullopt;
  }
  compute_values(x, panels, weight, bias, possible);
  return rows_by_token(reaching(likely->survivors, least), reaching(possible, least), tokens);
}

}  // namespace crossloom::architectures::kernels
