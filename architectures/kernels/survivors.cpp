#include "architectures/kernels/survivors.h"

#include "architectures/kernels/feature_pass.h"
#include "architectures/row_selection.h"

namespace crossloom::architectures::kernels {

void compute_values(const at::Tensor& x, const Panels& panels, const at::Tensor& weight,
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

}  // namespace crossloom::architectures::kernels
