// The backward pass of decoders: what codes reach, and the gradients of tables, biases and norms.
#include <algorithm>
#include <utility>

#include "architectures/decoder_topology.h"
#include "architectures/kernels/dense_codes.h"
#include "architectures/kernels/feature_pass.h"
#include "architectures/kernels/reductions.h"
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

/// One table with the sparse sources it serves, whose lists are merged where they are several.
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

DecoderTopology::SourceBackward DecoderTopology::start_source(const LayerCodes& codes) const {
  SourceBackward state{.codes = codes};
  if (state.is_dense()) {
    state.reach = at::zeros_like(codes.dense);
  } else {
    state.lists = kernels::group_by_feature(codes, codes.value, shape_.features);
    state.reach = at::zeros_like(codes.value);
  }
  return state;
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

void DecoderTopology::dense_backward(SourceBackward& state, int64_t source, int64_t target,
                                     int64_t from, const at::Tensor& y_grad, ColumnRange columns,
                                     const at::Tensor& weight_grad) const {
  state.reach.addmm_(y_grad, computed(columns.cut(table(weights(from), source, target))).t());
  at::Tensor part = columns.cut(table(weight_grad, source, target));
  part.addmm_(state.codes.dense.t(), y_grad);
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

void DecoderTopology::owner_backward(int64_t from, int64_t ahead,
                                     std::vector<SourceBackward>& sources,
                                     const std::vector<at::Tensor>& y_grad, ColumnRange columns,
                                     const std::vector<at::Tensor>& norm_grad,
                                     ParameterSink& sink) const {
  const bool any_dense = std::any_of(sources.begin(), sources.end(),
                                     [](const auto& source) { return source.is_dense(); });
  const bool complete = columns.width() == shape_.width && !any_dense;
  GradientStretches* stretches = complete ? sink.stretches(weight_number(from)) : nullptr;
  const at::Tensor weight_grad =
      stretches == nullptr ? sink.gradient(weight_number(from)) : at::Tensor();
  std::vector<TableBackward> tables;
  tables.reserve(static_cast<size_t>(shape_.layers));  // passes refer into it
  std::vector<kernels::FeaturePass> passes;
  for (int64_t target = 0; target < shape_.layers; ++target) {
    const at::Tensor& grad = y_grad[static_cast<size_t>(target)];
    std::vector<SourceBackward*> sparse;
    for (const int64_t source : served_sources(from, target, ahead)) {
      SourceBackward& state = sources[static_cast<size_t>(source)];
      if (state.is_dense()) {
        dense_backward(state, source, target, from, grad, columns, weight_grad);
      } else {
        sparse.push_back(&state);
      }
    }
    if (!sparse.empty()) {
      const int64_t source = sparse.front() - sources.data();
      tables.emplace_back(std::move(sparse));
      kernels::FeaturePass pass{.lists = tables.back().lists(),
                                .rows = grad,
                                .reach = tables.back().reach(),
                                .stretches = stretches};
      place_pass(pass, from, source, target, columns, norm_grad, weight_grad);
      passes.push_back(std::move(pass));
    }
  }
  kernels::run_feature_passes(passes);
  for (const TableBackward& done : tables) {
    done.finish();
  }
  if (stretches == nullptr) {
    add_norm_gradients(norm_grad, columns, from, weight_grad);
  }
}

void DecoderTopology::place_pass(kernels::FeaturePass& pass, int64_t from, int64_t source,
                                 int64_t target, ColumnRange columns,
                                 const std::vector<at::Tensor>& norm_grad,
                                 const at::Tensor& weight_grad) const {
  const at::Tensor rows = table(weights(from), source, target);  // [F, D]
  pass.table = columns.cut(rows);
  if (pass.stretches == nullptr) {
    pass.gradient = columns.cut(table(weight_grad, source, target));
    return;
  }
  pass.first_element = rows.storage_offset() - weights(from).storage_offset();
  pass.row_stride = rows.stride(0);
  if (!norm_grad.empty()) {
    pass.start = table_norm_gradient(from, source, target, norm_grad);
  }
}

CodeGradients DecoderTopology::backward_within(int64_t ahead, const Codes& codes,
                                               const std::vector<at::Tensor>& y_grad,
                                               ColumnRange columns,
                                               const std::vector<at::Tensor>& norm_grad,
                                               ParameterSink& sink) const {
  check_call(codes, columns);
  CROSSLOOM_CHECK(y_grad.size() == codes.size(), "{} layers of y_grad", y_grad.size());
  std::vector<SourceBackward> sources;
  for (const LayerCodes& layer : codes) {
    sources.push_back(start_source(layer));
  }
  for (int64_t from = 0; from < shape_.layers; ++from) {
    owner_backward(from, ahead, sources, y_grad, columns, norm_grad, sink);
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
