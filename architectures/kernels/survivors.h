// What a screen (screen.h) leaves of a layer's pre-activations: entries by feature, whose values
// are then computed in float32.
#pragma once

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "architectures/codes.h"
#include "architectures/kernels/estimates.h"
#include "architectures/kernels/feature_lists.h"
#include "architectures/kernels/panels.h"

namespace crossloom::architectures::kernels {

inline constexpr int64_t kEntriesPerSurvivor = 8;  // with fewer, the whole product is faster

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
void compute_values(const at::Tensor& x, const Panels& panels, const at::Tensor& weight,
                    const at::Tensor& bias, Survivors& survivors);

/// The survivors that reach `least` [T]: of possible ones, few.
Survivors reaching(const Survivors& survivors, const std::vector<float>& least);

/// The positive ones of two lists of survivors by token, places ascending.
LayerCodes rows_by_token(const Survivors& a, const Survivors& b, int64_t tokens);

}  // namespace crossloom::architectures::kernels
