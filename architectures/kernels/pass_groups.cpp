// Passes over features (feature_pass.h), checked, cut into parts and dealt to threads.
#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/feature_pass.h"
#include "architectures/kernels/panels.h"
#include "architectures/kernels/pass_view.h"

namespace crossloom::architectures::kernels {
namespace {

template <typename Real>
const Real* data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<Real>() : nullptr;
}

template <typename Real>
Real* mutable_data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<Real>() : nullptr;
}

int64_t row_stride_of(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.stride(0) : 0;
}

void check(const FeaturePass& pass) {
  const int64_t features = pass.lists.offsets.size(0) - 1;
  const int64_t columns = pass.rows.size(1);
  check_shape(pass.rows, {-1, -1}, "rows");
  for (const auto* matrix : {&pass.gradient, &pass.table}) {
    if (matrix->defined()) {
      check_shape(*matrix, {features, columns}, "weights");
      CROSSLOOM_CHECK(matrix->stride(1) == 1, "columns must be contiguous");
    }
  }
  CROSSLOOM_CHECK(pass.rows.stride(1) == 1, "columns must be contiguous");
  CROSSLOOM_CHECK(!pass.panels.values.defined() || pass.panels.values.numel() == pass.rows.numel(),
                  "panels of other rows");
  CROSSLOOM_CHECK(!pass.gradient.defined() || pass.stretches == nullptr,
                  "a gradient has one destination");
  CROSSLOOM_CHECK(pass.gradient.defined() || pass.stretches != nullptr || pass.table.defined(),
                  "neither gradient nor reach is wanted");
  CROSSLOOM_CHECK(pass.table.defined() == pass.reach.defined(), "reach needs a table");
  CROSSLOOM_CHECK(!pass.start.defined() || pass.table.defined() != pass.start_row.defined(),
                  "start scales the table, or without one a row");
}

int64_t columns_of_panel(const FeaturePass& pass) {
  if (pass.panels.values.defined()) {
    return pass.panels.columns;
  }
  const bool has_gradient = pass.gradient.defined() || pass.stretches != nullptr;
  return panel_columns(pass.rows.size(0), pass.rows.size(1), pass.rows.element_size(),
                       has_gradient ? PanelUse::kGradients : PanelUse::kReach);
}

template <typename Real, typename Stored>
PassView<Real, Stored> view(const FeaturePass& pass) {
  return {.offsets = pass.lists.offsets.const_data_ptr<int64_t>(),
          .token = pass.lists.token.const_data_ptr<int32_t>(),
          .weight = pass.lists.weight.const_data_ptr<Real>(),
          .rows = pass.rows.const_data_ptr<Real>(),
          .rows_stride = pass.rows.stride(0),
          .panels = data_or_null<Real>(pass.panels.values),
          .panel = columns_of_panel(pass),
          .tokens = pass.rows.size(0),
          .columns = pass.rows.size(1),
          .gradient = mutable_data_or_null<Real>(pass.gradient),
          .gradient_stride = row_stride_of(pass.gradient),
          .table = pass.table.defined() ? stored_data<Stored>(pass.table) : nullptr,
          .table_stride = row_stride_of(pass.table),
          .reach = mutable_data_or_null<Real>(pass.reach),
          .start = data_or_null<Real>(pass.start),
          .start_row = data_or_null<Real>(pass.start_row),
          .stretches = pass.stretches,
          .first_element = pass.first_element,
          .row_stride = pass.row_stride};
}

/// Some features of a group: what one thread does at a time.
struct Item {
  size_t group;
  Range features;
  int64_t work;
};

/// Of a group with at least one pass.
int64_t group_work(const FeaturePasses& passes) {
  int64_t columns = 0;
  for (const FeaturePass& pass : passes) {
    columns += pass.rows.size(1);
  }
  return work_of(passes.front().lists) * columns;
}

/// Few and large, since every part reads the rows' panels anew: a single group goes to each thread
/// once, and of several groups only those are parted that would keep others waiting. Largest first.
std::vector<Item> cut_items(const std::vector<FeaturePasses>& groups) {
  constexpr int64_t kItemsPerThread = 4;
  std::vector<int64_t> work;
  for (const FeaturePasses& passes : groups) {
    work.push_back(passes.empty() ? 0 : group_work(passes));
  }
  const int64_t whole = std::max<int64_t>(1, std::accumulate(work.begin(), work.end(), int64_t{0}));
  const int64_t threads = threads_here();
  const bool several = std::ranges::count_if(groups, [](const auto& g) { return !g.empty(); }) > 1;
  const int64_t wanted = threads * (several && threads > 1 ? kItemsPerThread : 1);
  std::vector<Item> items;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (groups[i].empty()) {
      continue;
    }
    const auto share = static_cast<double>(work[i]) / static_cast<double>(whole);
    const auto parts = static_cast<int64_t>(std::ceil(share * static_cast<double>(wanted)));
    const auto ranges = equal_parts(groups[i].front().lists, parts);
    for (const Range& features : ranges) {
      items.push_back({i, features, work[i] / std::ssize(ranges)});
    }
  }
  std::ranges::stable_sort(items, std::greater<>(), &Item::work);
  return items;
}

template <typename Real, typename Stored>
void run_typed(const std::vector<FeaturePasses>& groups) {
  std::vector<std::vector<PassView<Real, Stored>>> views(groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    for (const FeaturePass& pass : groups[i]) {
      check(pass);
      CROSSLOOM_CHECK(!pass.table.defined() || pass.table.element_size() == sizeof(Stored),
                      "tables of several types");
      views[i].push_back(view<Real, Stored>(pass));
    }
  }
  const std::vector<Item> items = cut_items(groups);
  deal(std::ssize(items), [&](int64_t number) {
    const Item& item = items[static_cast<size_t>(number)];
    for (const auto& pass : views[item.group]) {
      run_features(pass, item.features);
    }
  });
}

}  // namespace

void run_feature_passes(const FeaturePasses& passes) {
  run_pass_groups({passes});
}

void run_pass_groups(const std::vector<FeaturePasses>& groups) {
  const auto first = std::ranges::find_if_not(groups, &FeaturePasses::empty);
  if (first == groups.end()) {
    return;
  }
  const FeaturePass& pass = first->front();
  const at::Tensor& weights = pass.table.defined() ? pass.table : pass.rows;
  dispatch_stored(weights.scalar_type(), [&](auto real, auto stored) {
    run_typed<decltype(real), decltype(stored)>(groups);
  });
}

}  // namespace crossloom::architectures::kernels
