#include "architectures/decoder_topology.h"

#include <algorithm>
#include <utility>

#include "architectures/kernels/dense_codes.h"
#include "architectures/kernels/feature_lists.h"
#include "architectures/kernels/reductions.h"
#include "architectures/kernels/sparse_rows.h"

namespace crossloom::architectures {
namespace {

at::Tensor cut(const at::Tensor& table, ColumnRange columns) {
  return table.narrow(1, columns.begin, columns.width());
}

/// Pairs of one source and their gradients' places: table_grad += codesᵀ · y_grad.
struct WeightJob {
  at::Tensor table_grad;  // [F, d]
  at::Tensor y_grad;      // [T, d]
};

void add_weight_gradients(const LayerCodes& codes, const std::vector<WeightJob>& jobs,
                          int64_t features) {
  if (codes.dense.defined()) {
    for (const WeightJob& job : jobs) {
      at::Tensor grad = job.table_grad;
      grad.addmm_(codes.dense.t(), job.y_grad);
    }
    return;
  }
  const auto lists = kernels::group_by_feature(codes, codes.value, features);
  kernels::for_feature_ranges(lists, [&](kernels::Range range) {
    for (const WeightJob& job : jobs) {
      kernels::add_outer(lists, job.y_grad, job.table_grad, range);
    }
  });
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

at::Tensor DecoderTopology::value_gradient(int64_t source, int64_t last_target,
                                           const LayerCodes& codes,
                                           const std::vector<at::Tensor>& y_grad,
                                           ColumnRange columns) const {
  std::vector<std::pair<at::Tensor, at::Tensor>> pairs;  // table [F, d], y_grad [T, d]
  for (int64_t target = source; target <= last_target; ++target) {
    const int64_t from = owner(source, target);
    if (from >= 0) {
      pairs.emplace_back(cut(table(weights(from), source, target), columns),
                         y_grad[static_cast<size_t>(target)]);
    }
  }
  if (codes.dense.defined()) {
    at::Tensor sum = at::zeros_like(codes.dense);  // [T, F]
    for (const auto& [rows, grad] : pairs) {
      sum.addmm_(grad, rows.t());
    }
    return kernels::gather_entries(codes, sum);
  }
  const at::Tensor gradient = at::zeros_like(codes.value);
  kernels::for_token_ranges(codes.tokens(), [&](kernels::Range tokens) {
    for (const auto& [rows, grad] : pairs) {
      kernels::dot_rows(codes, rows, grad, gradient, tokens);
    }
  });
  return gradient;
}

CodeGradients DecoderTopology::decode_backward(const Codes& codes,
                                               const std::vector<at::Tensor>& y_grad,
                                               ColumnRange columns,
                                               const std::vector<at::Tensor>& norm_grad,
                                               ParameterSink& sink) const {
  return backward_within(shape_.layers, codes, y_grad, columns, norm_grad, sink);
}

CodeGradients DecoderTopology::backward_within(int64_t ahead, const Codes& codes,
                                               const std::vector<at::Tensor>& y_grad,
                                               ColumnRange columns,
                                               const std::vector<at::Tensor>& norm_grad,
                                               ParameterSink& sink) const {
  check_call(codes, columns);
  const auto last_target = [&](int64_t source) {
    return std::min(source + ahead, shape_.layers - 1);
  };
  CROSSLOOM_CHECK(y_grad.size() == codes.size(), "{} layers of y_grad", y_grad.size());
  CodeGradients gradients;
  for (int64_t source = 0; source < shape_.layers; ++source) {
    gradients.push_back(value_gradient(source, last_target(source),
                                       codes[static_cast<size_t>(source)], y_grad, columns));
  }
  for (int64_t from = 0; from < shape_.layers; ++from) {
    const at::Tensor weight_grad = sink.gradient(weight_number(from));
    for (int64_t source = 0; source < shape_.layers; ++source) {
      std::vector<WeightJob> jobs;
      for (int64_t target = source; target <= last_target(source); ++target) {
        if (owner(source, target) == from) {
          jobs.push_back({cut(table(weight_grad, source, target), columns),
                          y_grad[static_cast<size_t>(target)]});
        }
      }
      if (!jobs.empty()) {
        add_weight_gradients(codes[static_cast<size_t>(source)], jobs, shape_.features);
      }
    }
    add_norm_gradients(norm_grad, columns, from, weight_grad);
    sink.finished(weight_number(from));
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
