#include "architectures/kernels/weight_pass.h"

#include <algorithm>

#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/feature_pass.h"
#include "architectures/stored_weights.h"

namespace crossloom::architectures::kernels {
namespace {

bool goes_by_feature(const WeightPass& pass) {
  return pass.dense.empty() && pass.sparse.size() == 1;
}

FeaturePass by_feature(const WeightPass& pass) {
  const SparseTerm& term = pass.sparse.front();
  return {.lists = *term.lists,
          .rows = term.rows,
          .panels = term.panels,
          .gradient = pass.gradient,
          .table = pass.table,
          .reach = term.reach,
          .start = pass.start,
          .start_row = pass.start_row,
          .stretches = pass.stretches,
          .first_element = pass.first_element,
          .row_stride = pass.row_stride};
}

/// The codes of features [begin, begin + count) alone; places among the codes stay as they are.
FeatureLists cut_lists(const FeatureLists& lists, int64_t begin, int64_t count) {
  FeatureLists cut = lists;
  cut.offsets = lists.offsets.narrow(0, begin, count + 1);
  return cut;
}

/// Reach and gradient of as many features from `begin` on as `block` [n, d] has rows; their
/// gradient is added to it.
void add_block(const WeightPass& pass, int64_t begin, const at::Tensor& block) {
  const int64_t count = block.size(0);
  const bool has_table = pass.table.defined();
  const at::Tensor table = has_table ? pass.table.narrow(0, begin, count) : at::Tensor();
  const bool multiplies = has_table && (pass.start.defined() || !pass.dense.empty());
  const at::Tensor numbers = multiplies ? computed(table) : at::Tensor();
  at::Tensor sum = block;
  if (pass.start.defined()) {
    sum.addcmul_(pass.start.narrow(0, begin, count).unsqueeze(1),
                 has_table ? numbers : pass.start_row.unsqueeze(0));
  }
  for (const DenseTerm& term : pass.dense) {
    if (term.reach.defined()) {
      at::Tensor reach = term.reach.narrow(1, begin, count);
      reach.addmm_(term.rows, numbers.t());
    }
    sum.addmm_(term.weight.narrow(1, begin, count).t(), term.rows);
  }
  for (const SparseTerm& term : pass.sparse) {
    const FeatureLists lists = cut_lists(*term.lists, begin, count);
    run_feature_passes({{.lists = lists,
                         .rows = term.rows,
                         .panels = term.panels,
                         .gradient = block,
                         .table = term.reach.defined() ? table : at::Tensor(),
                         .reach = term.reach}});
  }
}

/// Rows of `block` are the gradient of the features from `begin` on.
void hand_on(const WeightPass& pass, int64_t begin, const at::Tensor& block) {
  constexpr int64_t kRowGrain = 4;  // rows a thread takes at least
  const int64_t columns = block.size(1);
  dispatch_real(block.scalar_type(), [&](auto real) {
    const auto* g = block.const_data_ptr<decltype(real)>();
    at::parallel_for(0, block.size(0), kRowGrain, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        pass.stretches->take(pass.first_element + (begin + i) * pass.row_stride, columns,
                             g + i * columns);
      }
    });
  });
}

void run_in_blocks(const WeightPass& pass) {
  const bool is_sparse = pass.dense.empty();
  const at::Tensor& rows = is_sparse ? pass.sparse.front().rows : pass.dense.front().rows;
  const int64_t features = is_sparse ? pass.sparse.front().lists->offsets.size(0) - 1
                                     : pass.dense.front().weight.size(1);
  at::Tensor scratch;
  if (pass.stretches != nullptr) {
    scratch = at::empty({std::min(kBlockFeatures, features), rows.size(1)}, rows.options());
  }
  for (int64_t begin = 0; begin < features; begin += kBlockFeatures) {
    const int64_t count = std::min(kBlockFeatures, features - begin);
    if (pass.stretches == nullptr) {
      add_block(pass, begin, pass.gradient.narrow(0, begin, count));
      continue;
    }
    const at::Tensor block = scratch.narrow(0, 0, count);
    block.zero_();
    add_block(pass, begin, block);
    hand_on(pass, begin, block);
  }
}

}  // namespace

void run_weight_passes(const WeightPasses& passes) {
  run_weight_pass_groups({&passes});
}

void run_weight_pass_groups(const std::vector<const WeightPasses*>& groups) {
  std::vector<FeaturePasses> by_features;
  for (const WeightPasses* passes : groups) {
    auto& group = by_features.emplace_back();
    for (const WeightPass& pass : *passes) {
      if (goes_by_feature(pass)) {
        group.push_back(by_feature(pass));
      }
    }
  }
  run_pass_groups(by_features);
  for (const WeightPasses* passes : groups) {
    for (const WeightPass& pass : *passes) {
      if (!goes_by_feature(pass)) {
        run_in_blocks(pass);
      }
    }
  }
}

}  // namespace crossloom::architectures::kernels
