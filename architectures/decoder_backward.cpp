// The backward pass of decoders: what codes reach, and the gradients of tables, biases and norms.
// Dense codes and sparse ones may mix; a table's gradient is made once, from all sources it serves.
#include <algorithm>
#include <utility>

#include "architectures/decoder_topology.h"
#include "architectures/kernels/dense_codes.h"
#include "architectures/kernels/feature_pass.h"
#include "architectures/kernels/panels.h"
#include "architectures/kernels/ranges.h"
#include "architectures/kernels/reductions.h"
#include "architectures/kernels/weight_pass.h"
#include "architectures/stored_weights.h"

namespace crossloom::architectures {

/// One source on its way through its pairs: sparse codes by feature, dense ones as a matrix.
struct DecoderTopology::SourceBackward {
  const LayerCodes& codes;
  kernels::FeatureLists lists{};  // undefined tensors: dense
  at::Tensor reach{};             // ∂Loss/∂a so far: [nnz] in the lists' order, or [T, F]

  bool is_dense() const { return codes.dense.defined(); }
  at::Tensor value_gradient() const {
    return is_dense() ? kernels::gather_entries(codes, reach)
                      : at::empty_like(reach).index_copy_(0, lists.entry, reach);
  }
};

/// One table with the sparse sources it serves (dense ones are terms of their own), whose lists are
/// merged where they are several.
struct DecoderTopology::TableBackward {
  explicit TableBackward(std::vector<SourceBackward*> served) : sources(std::move(served)) {
    if (sources.size() > 1) {
      std::vector<const kernels::FeatureLists*> parts;
      for (const SourceBackward* source : sources) {
        parts.push_back(&source->lists);
      }
      merged = kernels::merge_lists(parts);
      merged_reach = at::zeros_like(merged.weight);
    }
  }
  const kernels::FeatureLists& lists() const {
    return sources.size() > 1 ? merged : sources.front()->lists;
  }
  const at::Tensor& reach() const {
    return sources.size() > 1 ? merged_reach : sources.front()->reach;
  }
  /// Hands the merged reach to its sources.
  void finish() const {
    if (sources.size() > 1) {
      const at::Tensor all =
          at::empty_like(merged_reach).index_copy_(0, merged.entry, merged_reach);
      int64_t first = 0;
      for (SourceBackward* source : sources) {
        source->reach.add_(all.narrow(0, first, source->reach.size(0)));
        first += source->reach.size(0);
      }
    }
  }

  std::vector<SourceBackward*> sources;
  kernels::FeatureLists merged{};
  at::Tensor merged_reach{};
};

std::vector<DecoderTopology::SourceBackward> DecoderTopology::start_sources(
    const Codes& codes) const {
  std::vector<SourceBackward> sources;
  for (const LayerCodes& layer : codes) {
    const bool is_dense = layer.dense.defined();
    sources.push_back(
        {.codes = layer, .reach = at::zeros_like(is_dense ? layer.dense : layer.value)});
  }
  kernels::deal(std::ssize(sources), [&](int64_t layer) {
    SourceBackward& source = sources[static_cast<size_t>(layer)];
    if (!source.is_dense()) {
      source.lists = kernels::group_by_feature(source.codes, source.codes.value, shape_.features);
    }
  });
  return sources;
}

std::vector<int64_t> DecoderTopology::served_sources(int64_t from, int64_t target,
                                                     int64_t ahead) const {
  std::vector<int64_t> sources;
  for (int64_t source = std::max<int64_t>(0, target - ahead); source <= target; ++source) {
    if (owner(source, target) == from) {
      sources.push_back(source);
    }
  }
  return sources;
}

at::Tensor DecoderTopology::table_norm_gradient(int64_t from, int64_t source, int64_t target,
                                                const std::vector<at::Tensor>& norm_grad) const {
  const int64_t place = table(weights(from), source, target).storage_offset();
  at::Tensor sum = at::zeros_like(norm_grad.front());
  for (int64_t s = 0; s < shape_.layers; ++s) {
    for (int64_t t = s; t < shape_.layers; ++t) {
      if (owner(s, t) == from && table(weights(from), s, t).storage_offset() == place) {
        sum.add_(norm_grad[static_cast<size_t>(s)]);
      }
    }
  }
  return sum;
}

GradientStretches* DecoderTopology::stretches_of(int64_t layer, ColumnRange columns,
                                                 ParameterSink& sink) const {
  return columns.width() == shape_.width ? sink.stretches(weight_number(layer)) : nullptr;
}

kernels::WeightPass DecoderTopology::start_pass(int64_t from, int64_t source, int64_t target,
                                                ColumnRange columns,
                                                const std::vector<at::Tensor>& norm_grad,
                                                GradientStretches* stretches,
                                                const at::Tensor& weight_grad) const {
  const at::Tensor rows = table(weights(from), source, target);  // [F, D]
  kernels::WeightPass pass{.table = columns.cut(rows), .stretches = stretches};
  if (stretches == nullptr) {
    pass.gradient = columns.cut(table(weight_grad, source, target));
    return pass;
  }
  pass.first_element = rows.storage_offset() - weights(from).storage_offset();
  pass.row_stride = rows.stride(0);
  if (!norm_grad.empty()) {
    pass.start = table_norm_gradient(from, source, target, norm_grad);
  }
  return pass;
}

/// ∂Loss/∂ŷ of a target, [T, columns], also in panels where sparse codes will pass over it.
struct DecoderTopology::TargetGradient {
  const at::Tensor& rows;
  kernels::Panels panels;
};

/// The passes over all tables of one owner.
struct DecoderTopology::OwnerBackward {
  int64_t layer;
  at::Tensor weight_grad{};  // undefined: delivered in stretches
  std::vector<TableBackward> tables{};
  kernels::WeightPasses passes{};
};

DecoderTopology::OwnerBackward DecoderTopology::start_owner(
    int64_t from, int64_t ahead, std::vector<SourceBackward>& sources,
    const std::vector<TargetGradient>& y_grad, ColumnRange columns,
    const std::vector<at::Tensor>& norm_grad, ParameterSink& sink) const {
  OwnerBackward owner{.layer = from};
  GradientStretches* stretches = stretches_of(from, columns, sink);
  if (stretches == nullptr) {
    owner.weight_grad = sink.gradient(weight_number(from));
  }
  owner.tables.reserve(static_cast<size_t>(shape_.layers));  // passes refer into it
  for (int64_t target = 0; target < shape_.layers; ++target) {
    const std::vector<int64_t> served = served_sources(from, target, ahead);
    if (served.empty()) {
      continue;
    }
    const TargetGradient& grad = y_grad[static_cast<size_t>(target)];
    auto pass =
        start_pass(from, served.front(), target, columns, norm_grad, stretches, owner.weight_grad);
    std::vector<SourceBackward*> sparse;
    for (const int64_t source : served) {
      SourceBackward& state = sources[static_cast<size_t>(source)];
      if (state.is_dense()) {
        pass.dense.push_back({state.codes.dense, grad.rows, state.reach});
      } else {
        sparse.push_back(&state);
      }
    }
    if (!sparse.empty()) {
      const TableBackward& table = owner.tables.emplace_back(std::move(sparse));
      pass.sparse.push_back({&table.lists(), grad.rows, table.reach(), grad.panels});
    }
    owner.passes.push_back(std::move(pass));
  }
  return owner;
}

bool DecoderTopology::sources_have_one_owner(int64_t ahead) const {
  for (int64_t source = 0; source < shape_.layers; ++source) {
    const int64_t end = std::min(source + ahead + 1, shape_.layers);
    for (int64_t target = source + 1; target < end; ++target) {
      const int64_t other = owner(source, target);
      if (other >= 0 && other != owner(source, source)) {
        return false;
      }
    }
  }
  return true;
}

void DecoderTopology::run_owners(const std::vector<OwnerBackward>& owners, ColumnRange columns,
                                 const std::vector<at::Tensor>& norm_grad) const {
  std::vector<const kernels::WeightPasses*> groups;
  for (const OwnerBackward& owner : owners) {
    groups.push_back(&owner.passes);
  }
  kernels::run_weight_pass_groups(groups);
  for (const OwnerBackward& owner : owners) {
    std::ranges::for_each(owner.tables, &TableBackward::finish);
    if (owner.weight_grad.defined()) {
      add_norm_gradients(norm_grad, columns, owner.layer, owner.weight_grad);
    }
  }
}

CodeGradients DecoderTopology::backward_within(int64_t ahead, const Codes& codes,
                                               const std::vector<at::Tensor>& y_grad,
                                               ColumnRange columns,
                                               const std::vector<at::Tensor>& norm_grad,
                                               ParameterSink& sink) const {
  check_call(codes, columns);
  CROSSLOOM_CHECK(y_grad.size() == codes.size(), "{} layers of y_grad", y_grad.size());
  std::vector<SourceBackward> sources = start_sources(codes);
  const bool any_sparse = !std::ranges::all_of(sources, &SourceBackward::is_dense);
  std::vector<TargetGradient> targets;
  for (const at::Tensor& grad : y_grad) {
    targets.push_back({grad, any_sparse ? kernels::panels_of(grad, kernels::PanelUse::kGradients)
                                        : kernels::Panels()});
  }
  // Owners that reach into the same sources go one after another, and what they hold goes with
  // them.
  const bool together = sources_have_one_owner(ahead);
  std::vector<OwnerBackward> owners;
  owners.reserve(static_cast<size_t>(shape_.layers));
  for (int64_t from = 0; from < shape_.layers; ++from) {
    owners.push_back(start_owner(from, ahead, sources, targets, columns, norm_grad, sink));
    if (!together || from == shape_.layers - 1) {
      run_owners(owners, columns, norm_grad);
      owners.clear();
    }
  }
  CodeGradients gradients;
  for (int64_t layer = 0; layer < shape_.layers; ++layer) {
    gradients.push_back(sources[static_cast<size_t>(layer)].value_gradient());
    sink.finished(weight_number(layer));  // now that no pair needs its old value
  }
  return gradients;
}

CodeGradients DecoderTopology::decode_backward(const Codes& codes,
                                               const std::vector<at::Tensor>& y_grad,
                                               ColumnRange columns,
                                               const std::vector<at::Tensor>& norm_grad,
                                               ParameterSink& sink) const {
  return backward_within(shape_.layers, codes, y_grad, columns, norm_grad, sink);
}

void DecoderTopology::add_norm_gradients(const std::vector<at::Tensor>& norm_grad,
                                         ColumnRange columns, int64_t owner_layer,
                                         const at::Tensor& weight_grad) const {
  for (size_t s = 0; s < norm_grad.size(); ++s) {
    const auto source = static_cast<int64_t>(s);
    for (int64_t target = source; target < shape_.layers; ++target) {
      if (owner(source, target) == owner_layer) {
        at::Tensor grad = columns.cut(table(weight_grad, source, target));
        grad.addcmul_(norm_grad[s].unsqueeze(1),
                      computed(columns.cut(table(weights(owner_layer), source, target))));
      }
    }
  }
}

void DecoderTopology::bias_backward(const std::vector<at::Tensor>& y_grad, ColumnRange columns,
                                    ParameterSink& sink) const {
  for (size_t layer = 0; layer < y_grad.size(); ++layer) {
    const size_t number = bias_number(static_cast<int64_t>(layer));
    const at::Tensor gradient = sink.gradient(number);  // [D]
    const at::Tensor sums = kernels::column_sums(y_grad[layer]);
    gradient.narrow(0, columns.begin, columns.width()).add_(sums.to(gradient.scalar_type()));
    sink.finished(number);
  }
}

}  // namespace crossloom::architectures
