#include "architectures/kernels/sparse_rows.h"

#include <unistd.h>

#include <algorithm>

#include "architectures/kernels/dispatch.h"

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
  const bool same = table.scalar_type() == rows.scalar_type() ||
                    (table.scalar_type() == at::kBFloat16 && rows.scalar_type() == at::kFloat);
  CROSSLOOM_CHECK(same && codes.value.scalar_type() == rows.scalar_type(),
                  "codes, table and rows must have one scalar type");
}

template <typename Real, typename Stored>
void add_rows_typed(const LayerCodes& codes, const at::Tensor& table, const at::Tensor& y,
                    Range tokens) {
  const CodeView<Real> view(codes);
  const Stored* table_data = stored_data<Stored>(table);
  Real* y_data = y.mutable_data_ptr<Real>();
  const int64_t columns = table.size(1);
  const int64_t panel = panel_columns(table.size(0), columns, sizeof(Stored));
  for (int64_t c = 0; c < columns; c += panel) {
    const int64_t width = std::min(panel, columns - c);
    for (int64_t t = tokens.first; t < tokens.last; ++t) {
      const int64_t begin = view.offsets[t];
      gather_add(view.count(t), view.index + begin, view.value + begin, table_data + c,
                 table.stride(0), width, y_data + t * y.stride(0) + c);
    }
  }
}

}  // namespace

int64_t panel_columns(int64_t rows, int64_t columns, int64_t element_bytes) {
  constexpr int64_t kUsual_bytes = 1024 * 1024;
  static const int64_t cache_bytes =
      std::max<int64_t>(sysconf(_SC_LEVEL2_CACHE_SIZE), kUsual_bytes);
  const int64_t unit_bytes = std::max<int64_t>(1, rows) * kColumnUnit * element_bytes;
  const int64_t units = cache_bytes / 2 / unit_bytes;
  return units == 0 ? columns : std::min(columns, units * kColumnUnit);
}

void add_rows(const LayerCodes& codes, const at::Tensor& table, const at::Tensor& y, Range tokens) {
  check_operands(codes, table, y);
  dispatch_stored(table.scalar_type(), [&](auto real, auto stored) {
    add_rows_typed<decltype(real), decltype(stored)>(codes, table, y, tokens);
  });
}

}  // namespace crossloom::architectures::kernels
