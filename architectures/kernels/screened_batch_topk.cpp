#include "architectures/kernels/screened_batch_topk.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "architectures/kernels/panels.h"
#include "architectures/kernels/survivors.h"

namespace crossloom::architectures::kernels {
namespace {

constexpr double kSlack = 1.15;     // of entries that the first bar is to let through
constexpr double kMoreSlack = 1.3;  // of the next bar, when they were too few

/// Estimates of a few tokens, others for each feature: some features fire far more often than most.
std::vector<float> sampled_estimates(const Estimates& estimates) {
  std::vector<float> sample(static_cast<size_t>(estimates.features() * kScreenLanes));
  const ScreenTokens all = estimates.tokens();
  for (int64_t f = 0; f < estimates.features(); ++f) {
    const int64_t t = f * kScreenLanes % (all.count - kScreenLanes + 1);
    const ScreenTokens some{.steps = all.steps + t,
                            .errors = all.errors + t,
                            .norms = all.norms + t,
                            .count = kScreenLanes};
    ScreenFeature feature = estimates.feature(f);
    feature.products += t;
    estimates_of(some, feature, sample.data() + f * kScreenLanes);
  }
  return sample;
}

/// The `rank`-th largest, from 1; reorders.
float largest_but(std::vector<float>& numbers, int64_t rank) {
  const auto place = numbers.begin() + (rank - 1);
  std::nth_element(numbers.begin(), place, numbers.end(), std::greater<>());
  return *place;
}

void add_values(const Survivors& survivors, std::vector<float>& all) {
  const auto* values = survivors.value.const_data_ptr<float>();
  all.insert(all.end(), values, values + survivors.count());
}

struct Likely {
  Survivors survivors;
  std::vector<float> bars;  // [T], all the same
};

Likely entries_above(const Estimates& estimates, float bar) {
  Likely likely{.survivors = {},
                .bars = std::vector<float>(static_cast<size_t>(estimates.count()), bar)};
  likely.survivors =
      survivors_of(estimates.features(), estimates.count(), [&](int64_t f, int32_t* found) {
        return likely_tokens(estimates.tokens(), estimates.feature(f), likely.bars.data(), found);
      });
  return likely;
}

/// At least `kept` entries, at most `most`, whose estimates are positive and reach a bar.
std::optional<Likely> likely_entries(const Estimates& estimates, int64_t kept, int64_t most) {
  std::vector<float> sample = sampled_estimates(estimates);
  const auto rank_of = [&](double rank) {
    return std::min(static_cast<int64_t>(rank) + 1, static_cast<int64_t>(sample.size()));
  };
  const double sampled = static_cast<double>(kScreenLanes) / static_cast<double>(estimates.count());
  int64_t rank = rank_of(kSlack * sampled * static_cast<double>(kept));
  Likely likely = entries_above(estimates, largest_but(sample, rank));
  if (const int64_t count = likely.survivors.count(); count < kept) {
    const double too_few =
        static_cast<double>(kept) / static_cast<double>(std::max<int64_t>(count, 1));
    rank = rank_of(kMoreSlack * too_few * static_cast<double>(rank));
    likely = entries_above(estimates, largest_but(sample, rank));
  }
  const int64_t count = likely.survivors.count();
  return count >= kept && count <= most ? std::optional(std::move(likely)) : std::nullopt;
}

}  // namespace

std::optional<LayerCodes> screened_batch_topk(const at::Tensor& x, const at::Tensor& weight,
                                              const at::Tensor& bias, int64_t kept) {
  const int64_t tokens = x.size(0);
  const int64_t features = weight.size(0);
  const int64_t most = tokens * features / kEntriesPerSurvivor;
  if (kSlack * static_cast<double>(kept) > static_cast<double>(most)) {
    return std::nullopt;
  }
  Estimates estimates(x, weight, bias);
  if (!estimates.usable()) {
    return std::nullopt;
  }
  const Panels panels = panels_of(x, PanelUse::kReach);
  estimates.multiply();
  auto likely = likely_entries(estimates, kept, most);
  if (!likely) {
    return std::nullopt;
  }
  compute_values(x, panels, weight, bias, likely->survivors);
  std::vector<float> known;
  add_values(likely->survivors, known);
  std::vector<float> least(static_cast<size_t>(tokens), largest_but(known, kept));
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
  add_values(possible, known);
  std::fill(least.begin(), least.end(), largest_but(known, kept));
  return rows_by_token(reaching(likely->survivors, least), reaching(possible, least), tokens);
}

}  // namespace crossloom::architectures::kernels
