#include "architectures/kernels/screened_topk.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "architectures/kernels/best_of_row.h"
#include "architectures/kernels/byte_products.h"
#include "architectures/kernels/estimates.h"
#include "architectures/kernels/feature_lists.h"
#include "architectures/kernels/feature_pass.h"
#include "architectures/kernels/panels.h"
#include "architectures/kernels/ranges.h"
#include "architectures/row_selection.h"

namespace crossloom::architectures::kernels {
namespace {

constexpr int64_t kFewestTokens = 64;  // below, bytes of the weights cost more than they save
constexpr int64_t kFewestFeatures = 512;
constexpr int64_t kEntriesPerSurvivor = 8;  // with fewer, the whole product is faster
constexpr double kBusyShare = 0.9;          // of all threads' time, from which each takes a layer
constexpr int64_t kMostAtOnce_bytes = int64_t{1} << 30;

/// Entries by feature, with values in float32.
struct Survivors {
  FeatureLists lists;
  at::Tensor value;  // float32 [nnz], in the lists' order

  int64_t count() const { return lists.token.size(0); }
};

/// Survivors as raw pointers.
struct SurvivorView {
  explicit SurvivorView(const Survivors& survivors)
      : offsets(survivors.lists.offsets.const_data_ptr<int64_t>()),
        token(survivors.lists.token.const_data_ptr<int32_t>()),
        value(survivors.value.const_data_ptr<float>()) {}

  const int64_t* offsets;  // [F' + 1]
  const int32_t* token;
  const float* value;
};

/// The lists of the tokens that find(feature, found) puts into `found`, returning how many; no
/// values yet.
template <typename Find>
Survivors survivors_of(int64_t features, int64_t tokens, Find&& find) {
  const at::Tensor offsets = at::zeros({features + 1}, at::kLong);
  auto* ends = offsets.mutable_data_ptr<int64_t>() + 1;
  std::vector<std::vector<int32_t>> found(
      static_cast<size_t>((features + kFeatureGrain - 1) / kFeatureGrain));
  const auto blocks = static_cast<int64_t>(found.size());
  at::parallel_for(0, blocks, 1, [&](int64_t first, int64_t last) {
    std::vector<int32_t> places(static_cast<size_t>(tokens + kScreenLanes));
    for (int64_t block = first; block < last; ++block) {
      auto& all = found[static_cast<size_t>(block)];
      const int64_t end = std::min((block + 1) * kFeatureGrain, features);
      for (int64_t f = block * kFeatureGrain; f < end; ++f) {
        ends[f] = find(f, places.data());
        all.insert(all.end(), places.begin(), places.begin() + ends[f]);
      }
    }
  });
  std::partial_sum(ends, ends + features, ends);
  const at::Tensor token = at::empty({ends[features - 1]}, at::kInt);
  auto* to = token.mutable_data_ptr<int32_t>();
  for (const auto& block : found) {
    to = std::copy(block.begin(), block.end(), to);
  }
  return {.lists = {.offsets = offsets, .token = token, .weight = {}, .entry = {}}, .value = {}};
}

/// Sets the survivors' values to h in float32: a weight row is read once for all its tokens.
/// panels: panels_of(x).
void compute_values(const at::Tensor& x, const at::Tensor& panels, const at::Tensor& weight,
                    const at::Tensor& bias, Survivors& survivors) {
  survivors.value = at::zeros({survivors.count()}, at::kFloat);
  survivors.lists.weight = survivors.value;  // there is no gradient to weigh
  run_feature_passes({{.lists = survivors.lists,
                       .rows = x,
                       .panels = panels,
                       .table = weight,
                       .reach = survivors.value}});
  const auto* offsets = survivors.lists.offsets.const_data_ptr<int64_t>();
  const auto* from = bias.const_data_ptr<float>();
  auto* value = survivors.value.mutable_data_ptr<float>();
  for (int64_t f = 0; f < weight.size(0); ++f) {
    for (int64_t j = offsets[f]; j < offsets[f + 1]; ++j) {
      value[j] += from[f];
    }
  }
}

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

/// The survivors that reach `least` [T]: of possible ones, few.
Survivors reaching(const Survivors& survivors, const std::vector<float>& least) {
  const int64_t features = survivors.lists.offsets.size(0) - 1;
  const SurvivorView view(survivors);
  const at::Tensor offsets = at::zeros({features + 1}, at::kLong);
  auto* end = offsets.mutable_data_ptr<int64_t>() + 1;
  std::vector<int32_t> tokens;
  std::vector<float> values;
  for (int64_t f = 0; f < features; ++f) {
    for (int64_t j = view.offsets[f]; j < view.offsets[f + 1]; ++j) {
      if (view.value[j] >= least[static_cast<size_t>(view.token[j])]) {
        tokens.push_back(view.token[j]);
        values.push_back(view.value[j]);
      }
    }
    end[f] = static_cast<int64_t>(tokens.size());
  }
  const at::Tensor token = at::tensor(tokens, at::kInt);
  return {.lists = {.offsets = offsets, .token = token, .weight = {}, .entry = {}},
          .value = at::tensor(values, at::kFloat)};
}

/// The positive ones of two lists of survivors by token, places ascending.
LayerCodes rows_by_token(const Survivors& a, const Survivors& b, int64_t tokens) {
  const int64_t features = a.lists.offsets.size(0) - 1;
  const SurvivorView views[] = {SurvivorView(a), SurvivorView(b)};
  const auto for_entries = [&](auto&& body) {
    for (int64_t f = 0; f < features; ++f) {
      for (const SurvivorView& view : views) {
        for (int64_t j = view.offsets[f]; j < view.offsets[f + 1]; ++j) {
          if (view.value[j] > 0.0F) {
            body(view.token[j], f, view.value[j]);
          }
        }
      }
    }
  };
  const at::Tensor counts = at::zeros({tokens}, at::kLong);
  auto* count = counts.mutable_data_ptr<int64_t>();
  for_entries([&](int32_t t, int64_t, float) { ++count[t]; });
  LayerCodes rows = make_rows(counts, at::kFloat, false);
  const auto* offsets = rows.offsets.const_data_ptr<int64_t>();
  std::vector<int64_t> next(offsets, offsets + tokens);
  auto* index = rows.index.mutable_data_ptr<int32_t>();
  auto* values = rows.value.mutable_data_ptr<float>();
  for_entries([&](int32_t t, int64_t f, float value) {
    const int64_t place = next[static_cast<size_t>(t)]++;
    index[place] = static_cast<int32_t>(f);
    values[place] = value;
  });
  return rows;
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

bool screening_pays(int64_t tokens, const at::Tensor& weight) {
  static const bool fast = has_byte_products();
  const bool fits = weight.scalar_type() == at::kFloat || weight.scalar_type() == at::kBFloat16;
  return fast && fits && tokens >= kFewestTokens && weight.size(0) >= kFewestFeatures &&
         weight.size(1) >= kScreenLanes;
}

int64_t layers_at_once(int64_t layers, int64_t tokens, int64_t width, int64_t features) {
  const int64_t threads = threads_here();
  const int64_t rounds = (layers + threads - 1) / threads;
  const double busy = static_cast<double>(layers) / static_cast<double>(rounds * threads);
  // Estimates, weights in bytes, inputs in panels and in bytes.
  const int64_t bytes = threads * (4 * tokens * features + features * width + 5 * tokens * width);
  return has_byte_products() && busy >= kBusyShare && bytes <= kMostAtOnce_bytes ? threads : 1;
}

std::optional<LayerCodes> screened_topk(const at::Tensor& x, const at::Tensor& weight,
                                        const at::Tensor& bias, int64_t kept) {
  Estimates estimates(x, weight, bias);
  if (!estimates.usable()) {
    return std::nullopt;
  }
  const int64_t tokens = estimates.count();
  const int64_t features = estimates.features();
  const at::Tensor panels = panels_of(x);
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
