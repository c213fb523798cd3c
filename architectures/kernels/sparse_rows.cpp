#include "architectures/kernels/sparse_rows.h"

#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/row_kernels.h"

namespace crossloom::architectures::kernels {
namespace {

/// CSR rows of one layer as raw pointers.
template <typename Real>
struct CodeView {
  explicit CodeView(const LayerCodes& codes)
      : offsets(codes.offsets.const_data_ptr<int64_t>()),
        index(codes.index.const_data_ptr<int32_t>()),
        value(codes.value.const_data_ptr<Real>()) {}
  int64_t count(int64_t token) const { return offsets[token + 1] - offsets[token]; }

  const int64_t* offsets;  // [T + 1]
  const int32_t* index;    // [nnz]
  const Real* value;       // [nnz]
};

void check_operands(const LayerCodes& codes, const at::Tensor& table, const at::Tensor& rows) {
  check_shape(table, {-1, -1}, "table");
  check_shape(rows, {codes.tokens(), table.size(1)}, "rows");
  CROSSLOOM_CHECK(table.stride(1) == 1 && rows.stride(1) == 1, "columns must be contiguous");
  CROSSLOOM_CHECK(
      table.scalar_type() == rows.scalar_type() && codes.value.scalar_type() == rows.scalar_type(),
      "codes, table and rows must have one scalar type");
}

template <typename Real>
void add_rows_typed(const LayerCodes& codes, const at::Tensor& table, const at::Tensor& y,
                    Range tokens) {
  const auto& kernels = row_kernels<Real>();
  const CodeView<Real> view(codes);
  const Real* table_data = table.const_data_ptr<Real>();
  Real* y_data = y.mutable_data_ptr<Real>();
  const int64_t columns = table.size(1);
  const int64_t panel = panel_columns(table.size(0), columns, sizeof(Real));
  for (int64_t c = 0; c < columns; c += panel) {
    const int64_t width = std::min(panel, columns - c);
    for (int64_t t = tokens.first; t < tokens.last; ++t) {
      const int64_t begin = view.offsets[t];
      kernels.gather_add(view.count(t), view.index + begin, view.value + begin, table_data + c,
                         table.stride(0), width, y_data + t * y.stride(0) + c);
    }
  }
}

}  // namespace

void add_rows(const LayerCodes& codes, const at::Tensor& table, const at::Tensor& y, Range tokens) {
  check_operands(codes, table, y);
  dispatch_real(y.scalar_type(),
                [&](auto real) { add_rows_typed<decltype(real)>(codes, table, y, tokens); });
}

}  // namespace crossloom::architectures::kernels
