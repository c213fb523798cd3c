#include "architectures/kernels/screened_topk.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "architectures/kernels/best_of_row.h"
#include "architectures/kernels/panels.h"
#include "architectures/kernels/ranges.h"
#include "architectures/kernels/survivors.h"
#include "architectures/row_selection.h"

namespace crossloom::architectures::kernels {
namespace {

/// What `kept` entries of each token reach, by exact values; 0 where fewer are known or positive.
std::vector<float> least_values(const Survivors& likely, int64_t tokens, int64_t kept) {
  const auto n = static_cast<size_t>(tokens);
  const SurvivorView view(likely);
  std::vector<float> least(n, std::numeric_limits<float>::infinity());
  std::vector<int64_t> known(n, 0);
  for (int64_t j = 0; j < likely.count(); ++j) {
    const auto t = static_cast<size_t>(view.token[j]);
    least[t] = std::min(least[t], view.value[j]);
    ++known[t];
  }
  for (size_t t = 0; t < n; ++t) {
    least[t] = known[t] >= kept ? std::max(least[t], 0.0F) : 0.0F;
  }
  return least;
}

/// The `kept` largest entries of each row.
LayerCodes best_of_rows(const LayerCodes& rows, int64_t kept) {
  const int64_t tokens = rows.tokens();
  const auto* offsets = rows.offsets.const_data_ptr<int64_t>();
  const auto* index = rows.index.const_data_ptr<int32_t>();
  const auto* h = rows.value.const_data_ptr<float>();
  const at::Tensor places = at::empty({tokens, kept}, at::kInt);
  const at::Tensor values = at::empty({tokens, kept}, at::kFloat);
  const at::Tensor counts = at::empty({tokens}, at::kLong);
  auto* place = places.mutable_data_ptr<int32_t>();
  auto* value = values.mutable_data_ptr<float>();
  auto* count = counts.mutable_data_ptr<int64_t>();
  for_token_ranges(tokens, [&](Range range) {
    BestScratch<float> scratch;
    for (int64_t t = range.first; t < range.last; ++t) {
      int32_t* chosen = place + t * kept;
      const int64_t first = offsets[t];
      count[t] = best_of_row(h + first, offsets[t + 1] - first, kept, scratch, chosen);
      for (int64_t c = 0; c < count[t]; ++c) {
        const int64_t survivor = first + chosen[c];
        value[t * kept + c] = h[survivor];
        chosen[c] = index[survivor];
      }
    }
  });
  return compact_rows(places, values, counts);
}

}  // namespace

std::optional<LayerCodes> screened_topk(const at::Tensor& x, const at::Tensor& weight,
                                        const at::Tensor& bias, int64_t kept) {
  Estimates estimates(x, weight, bias);
  if (!estimates.usable()) {
    return std::nullopt;
  }
  const int64_t tokens = estimates.count();
  const int64_t features = estimates.features();
  const Panels panels = panels_of(x, PanelUse::kReach);
  const auto bars = estimates.multiply(kept);
  Survivors likely = survivors_of(features, tokens, [&](int64_t f, int32_t* found) {
    return likely_tokens(estimates.tokens(), estimates.feature(f), bars.data(), found);
  });
  const int64_t most = tokens * std::max(features / kEntriesPerSurvivor, 2 * kept);
  if (likely.count() > most) {
    return std::nullopt;
  }
  compute_values(x, panels, weight, bias, likely);
  const auto least = least_values(likely, tokens, kept);
  Survivors possible = survivors_of(features, tokens, [&](int64_t f, int32_t* found) {
    return possible_tokens(estimates.tokens(), estimates.feature(f), bars.data(), least.data(),
                           found);
  });
  if (possible.count() > most) {
    return std::nullopt;
  }
  compute_values(x, panels, weight, bias, possible);
  return best_of_rows(rows_by_token(likely, reaching(possible, least), tokens), kept);
}

}  // namespace crossloom::architectures::kernels
