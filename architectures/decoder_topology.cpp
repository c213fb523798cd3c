#include "architectures/decoder_topology.h"

#include <algorithm>
#include <utility>

#include "architectures/kernels/dense_codes.h"
#include "architectures/kernels/feature_pass.h"
#include "architectures/kernels/reductions.h"
#include "architectures/kernels/sparse_rows.h"

namespace crossloom::architectures {
namespace {

at::Tensor cut(const at::Tensor& table, ColumnRange columns) {
  return table.narrow(1, columns.begin, columns.width());
}

}  // namespace

DecoderTopology::DecoderTopology(const TranscoderShape& shape, at::ScalarType type,
                                 const std::vector<std::vector<int64_t>>& weight_shapes)
    : shape_(shape) {
  for (size_t layer = 0; layer < weight_shapes.size(); ++layer) {
    parameters_.push_back({fmt::format("W_dec_{}", layer), at::zeros(weight_shapes[layer], type),
                           ShardRule::kColumns});
    parameters_.push_back(
        {fmt::format("b_dec_{}", layer), at::zeros({shape.width}, type), ShardRule::kColumns});
  }
}

const at::Tensor& DecoderTopology::weights(int64_t layer) const {
  return parameters_.at(weight_number(layer)).value;
}

const at::Tensor& DecoderTopology::bias(int64_t layer) const {
  return parameters_.at(bias_number(layer)).value;
}

void DecoderTopology::add_writes(int64_t target, const Codes& codes, ColumnRange columns,
                                 const at::Tensor& y_hat) const {
  add_writes_from(0, target, codes, columns, y_hat);
}

void DecoderTopology::add_writes_from(int64_t first_source, int64_t target, const Codes& codes,
                                      ColumnRange columns, const at::Tensor& y_hat) const {
  std::vector<std::pair<const LayerCodes*, at::Tensor>> sparse;
  for (int64_t source = first_source; source <= target; ++source) {
    const int64_t from = owner(source, target);
    if (from < 0) {
      continue;
    }
    const LayerCodes& layer = codes.at(static_cast<size_t>(source));
    const at::Tensor rows = cut(table(weights(from), source, target), columns);  // [F, d]
    if (layer.dense.defined()) {
      at::Tensor sum = y_hat;
      sum.addmm_(layer.dense, rows);
    } else {
      sparse.emplace_back(&layer, rows);
    }
  }
  kernels::for_token_ranges(y_hat.size(0), [&](kernels::Range tokens) {
    for (const auto& [layer, rows] : sparse) {
      kernels::add_rows(*layer, rows, y_hat, tokens);
    }
  });
}

void DecoderTopology::add_all_writes(const Codes& codes, ColumnRange columns,
                                     const std::vector<at::Tensor>& y_hat) const {
  for (int64_t target = 0; target < shape_.layers; ++target) {
    add_writes(target, codes, columns, y_hat[static_cast<size_t>(target)]);
  }
}

CodeGradients DecoderTopology::decode_backward(const Codes& codes,
                                               const std::vector<at::Tensor>& y_grad,
                                               ColumnRange columns,
                                               const std::vector<at::Tensor>& norm_grad,
                                               ParameterSink& sink) const {
  return backward_within(shape_.layers, codes, y_grad, columns, norm_grad, sink);
}

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

void DecoderTopology::source_backward(SourceBackward& state, int64_t source, int64_t last_target,
                                      int64_t from, const std::vector<at::Tensor>& y_grad,
                                      ColumnRange columns, const std::vector<at::Tensor>& norm_grad,
                                      const at::Tensor& weight_grad,
                                      GradientStretches* stretches) const {
  std::vector<kernels::FeaturePass> passes;
  for (int64_t target = source; target <= last_target; ++target) {
    if (owner(source, target) != from) {
      continue;
    }
    const at::Tensor& grad = y_grad[static_cast<size_t>(target)];
    const at::Tensor rows = table(weights(from), source, target);  // [F, D]
    if (state.is_dense()) {
      state.reach.addmm_(grad, cut(rows, columns).t());
      cut(table(weight_grad, source, target), columns).addmm_(state.codes.dense.t(), grad);
      continue;
    }
    kernels::FeaturePass pass{
        .lists = state.lists, .rows = grad, .table = cut(rows, columns), .reach = state.reach};
    if (stretches == nullptr) {
      pass.gradient = cut(table(weight_grad, source, target), columns);
    } else {
      pass.stretches = stretches;
      pass.first_element = rows.storage_offset() - weights(from).storage_offset();
      pass.row_stride = rows.stride(0);
      if (!norm_grad.empty()) {
        pass.start = norm_grad[static_cast<size_t>(source)];
        pass.start_rows = pass.table;
      }
    }
    passes.push_back(std::move(pass));
  }
  kernels::run_feature_passes(passes);
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
  const bool one_pair_each = tables_are_disjoint() || (ahead == 0 && norm_grad.empty());
  for (int64_t from = 0; from < shape_.layers; ++from) {
    const bool complete = one_pair_each && columns.width() == shape_.width &&
                          !sources[static_cast<size_t>(from)].is_dense();
    GradientStretches* stretches = complete ? sink.stretches(weight_number(from)) : nullptr;
    const at::Tensor weight_grad =
        stretches == nullptr ? sink.gradient(weight_number(from)) : at::Tensor();
    for (int64_t source = 0; source < shape_.layers; ++source) {
      source_backward(sources[static_cast<size_t>(source)], source,
                      std::min(source + ahead, shape_.layers - 1), from, y_grad, columns, norm_grad,
                      weight_grad, stretches);
    }
    if (stretches == nullptr) {
      add_norm_gradients(norm_grad, columns, from, weight_grad);
    }
  }
  CodeGradients gradients;
  for (int64_t layer = 0; layer < shape_.layers; ++layer) {
    gradients.push_back(sources[static_cast<size_t>(layer)].value_gradient());
    sink.finished(weight_number(layer));  // now that no pair needs its old value
  }
  return gradients;
}

void DecoderTopology::add_norm_gradients(const std::vector<at::Tensor>& norm_grad,
                                         ColumnRange columns, int64_t owner_layer,
                                         const at::Tensor& weight_grad) const {
  for (size_t s = 0; s < norm_grad.size(); ++s) {
    const auto source = static_cast<int64_t>(s);
    for (int64_t target = source; target < shape_.layers; ++target) {
      if (owner(source, target) == owner_layer) {
        at::Tensor grad = cut(table(weight_grad, source, target), columns);
        grad.addcmul_(norm_grad[s].unsqueeze(1),
                      cut(table(weights(owner_layer), source, target), columns));
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

at::Tensor DecoderTopology::written_rows(int64_t source, int64_t target, const at::Tensor& index,
                                         const at::Tensor& /*value*/) const {
  const int64_t from = target < source ? -1 : owner(source, target);
  return from < 0 ? at::Tensor() : table(weights(from), source, target).index_select(0, index);
}

std::vector<at::Tensor> DecoderTopology::square_norms(ColumnRange columns) const {
  std::vector<at::Tensor> norms;
  for (int64_t source = 0; source < shape_.layers; ++source) {
    norms.push_back(at::zeros({shape_.features}, at::kDouble));
    for (int64_t target = source; target < shape_.layers; ++target) {
      const int64_t from = owner(source, target);
      if (from >= 0) {
        norms.back().add_(
            kernels::row_square_sums(cut(table(weights(from), source, target), columns)));
      }
    }
  }
  return norms;
}

void DecoderTopology::check_call(const Codes& codes, ColumnRange columns) const {
  CROSSLOOM_CHECK(codes.size() == static_cast<size_t>(shape_.layers),
                  "{} layers of codes, expected {}", codes.size(), shape_.layers);
  for (const LayerCodes& layer : codes) {
    CROSSLOOM_CHECK(layer.tokens() == codes.front().tokens(), "codes of {} and of {} tokens",
                    layer.tokens(), codes.front().tokens());
  }
  CROSSLOOM_CHECK(0 <= columns.begin && columns.begin < columns.end && columns.end <= shape_.width,
                  "columns [{}, {}) of {}", columns.begin, columns.end, shape_.width);
}

}  // namespace crossloom::architectures
