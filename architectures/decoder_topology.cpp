#include "architectures/decoder_topology.h"

#include <algorithm>
#include <utility>

#include "architectures/kernels/decode.h"
#include "architectures/kernels/reductions.h"
#include "architectures/stored_weights.h"

namespace crossloom::architectures {
DecoderTopology::DecoderTopology(const TranscoderShape& shape, at::ScalarType type,
                                 const std::vector<std::vector<int64_t>>& weight_shapes)
    : shape_(shape) {
  for (size_t layer = 0; layer < weight_shapes.size(); ++layer) {
    parameters_.push_back({fmt::format("W_dec_{}", layer), at::zeros(weight_shapes[layer], type),
                           ShardRule::kColumns});
    parameters_.push_back({fmt::format("b_dec_{}", layer),
                           at::zeros({shape.width}, computed_type(type)), ShardRule::kColumns});
  }
}

const at::Tensor& DecoderTopology::weights(int64_t layer) const {
  return parameters_.at(weight_number(layer)).value;
}

const at::Tensor& DecoderTopology::bias(int64_t layer) const {
  return parameters_.at(bias_number(layer)).value;
}

kernels::DecodeTarget DecoderTopology::write_dense(int64_t first_source, int64_t target,
                                                   const Codes& codes, ColumnRange columns,
                                                   const at::Tensor& y_hat) const {
  kernels::DecodeTarget sparse{.y = y_hat};
  for (int64_t source = first_source; source <= target; ++source) {
    const int64_t from = owner(source, target);
    if (from < 0) {
      continue;
    }
    const LayerCodes& layer = codes.at(static_cast<size_t>(source));
    const at::Tensor rows = columns.cut(table(weights(from), source, target));  // [F, d]
    if (layer.dense.defined()) {
      at::Tensor sum = y_hat;
      sum.addmm_(layer.dense, computed(rows));
    } else {
      sparse.writes.push_back({&layer, rows});
    }
  }
  return sparse;
}

void DecoderTopology::add_writes(int64_t target, const Codes& codes, ColumnRange columns,
                                 const at::Tensor& y_hat) const {
  kernels::run_decode({write_dense(0, target, codes, columns, y_hat)});
}

void DecoderTopology::add_own_writes(int64_t layer, const Codes& codes, ColumnRange columns,
                                     const at::Tensor& y_hat) const {
  kernels::run_decode({write_dense(layer, layer, codes, columns, y_hat)});
}

void DecoderTopology::add_all_writes(const Codes& codes, ColumnRange columns,
                                     const std::vector<at::Tensor>& y_hat) const {
  std::vector<kernels::DecodeTarget> targets;
  for (int64_t target = 0; target < shape_.layers; ++target) {
    targets.push_back(write_dense(0, target, codes, columns, y_hat[static_cast<size_t>(target)]));
  }
  kernels::run_decode(targets);
}

at::Tensor DecoderTopology::written_rows(int64_t source, int64_t target, const at::Tensor& index,
                                         const at::Tensor& /*value*/) const {
  const int64_t from = target < source ? -1 : owner(source, target);
  return from < 0 ? at::Tensor()
                  : computed(table(weights(from), source, target).index_select(0, index));
}

std::vector<at::Tensor> DecoderTopology::square_norms(ColumnRange columns) const {
  std::vector<at::Tensor> norms;
  for (int64_t source = 0; source < shape_.layers; ++source) {
    norms.push_back(at::zeros({shape_.features}, at::kDouble));
    for (int64_t target = source; target < shape_.layers; ++target) {
      const int64_t from = owner(source, target);
      if (from >= 0) {
        norms.back().add_(
            kernels::row_square_sums(columns.cut(table(weights(from), source, target))));
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
