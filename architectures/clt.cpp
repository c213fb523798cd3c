#include "architectures/clt.h"

#include "architectures/kernels/feature_lists.h"
#include "architectures/kernels/sparse_rows.h"

namespace crossloom::architectures {
namespace {

std::vector<std::vector<int64_t>> fat_row_shapes(const TranscoderShape& shape) {
  std::vector<std::vector<int64_t>> shapes;
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    shapes.push_back({shape.features, shape.layers - layer, shape.width});
  }
  return shapes;
}

/// One target's part of a source's fat rows: [F, L−source, D] → view [F, columns.width()].
at::Tensor target_view(const at::Tensor& fat_rows, int64_t source, int64_t target,
                       ColumnRange columns) {
  return fat_rows.select(1, target - source).narrow(1, columns.begin, columns.width());
}

}  // namespace

Clt::Clt(const TranscoderShape& shape, at::ScalarType type)
    : shape_(shape), parameters_(zero_decoders(fat_row_shapes(shape), shape.width, type)) {}

std::string Clt::describe() const {
  return "ŷ[l'] = b_dec[l'] + Σ_{l ≤ l'} W_dec[l→l'] a[l], untied; fat rows W_dec_l [F, L−l, D]";
}

void Clt::add_writes(int64_t target, const Codes& codes, ColumnRange columns,
                     const at::Tensor& y_hat) const {
  kernels::for_token_ranges(y_hat.size(0), [&](kernels::Range tokens) {
    for (int64_t source = 0; source <= target; ++source) {
      const at::Tensor& fat_rows = parameters_[decoder_weight_number(source)].value;
      kernels::add_rows(codes[static_cast<size_t>(source)],
                        target_view(fat_rows, source, target, columns), y_hat, tokens);
    }
  });
}

CodeGradients Clt::decode_backward(const Codes& codes, const std::vector<at::Tensor>& y_grad,
                                   ColumnRange columns, ParameterSink& sink) const {
  check_decode_call(shape_, codes, columns);
  CROSSLOOM_CHECK(y_grad.size() == codes.size(), "{} layers of y_grad", y_grad.size());
  bias_backward(y_grad, columns, sink);
  CodeGradients gradients = zero_code_gradients(codes);
  for (int64_t source = 0; source < shape_.layers; ++source) {
    const auto s = static_cast<size_t>(source);
    const size_t number = decoder_weight_number(source);
    const at::Tensor& fat_rows = parameters_[number].value;
    const at::Tensor fat_grad = sink.gradient(number);  // [F, L−source, D]
    kernels::for_token_ranges(codes[s].tokens(), [&](kernels::Range tokens) {
      for (int64_t target = source; target < shape_.layers; ++target) {
        kernels::dot_rows(codes[s], target_view(fat_rows, source, target, columns),
                          y_grad[static_cast<size_t>(target)], gradients[s], tokens);
      }
    });
    const auto lists = kernels::group_by_feature(codes[s], codes[s].value, shape_.features);
    kernels::for_feature_ranges(lists, [&](kernels::Range features) {
      for (int64_t target = source; target < shape_.layers; ++target) {
        kernels::add_outer(lists, y_grad[static_cast<size_t>(target)],
                           target_view(fat_grad, source, target, columns), features);
      }
    });
    sink.finished(number);
  }
  return gradients;
}

at::Tensor Clt::written_rows(int64_t source, int64_t target, const at::Tensor& index) const {
  if (target < source) {
    return {};
  }
  const at::Tensor& fat_rows = parameters_.at(decoder_weight_number(source)).value;
  return fat_rows.select(1, target - source).index_select(0, index);
}

}  // namespace crossloom::architectures
