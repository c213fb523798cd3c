// Rows of an attribution graph, compressed: only non-zero entries are kept (12 bytes each).
// About three quarters of a graph's square are zero by construction (a source lies below its
// target), so a dense matrix would cost 4·N² bytes for nothing.
//
// Values are float64 in memory whatever the adjoint computed in: sums over rows are taken in
// float64, and a float64 graph keeps its bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "common/error.h"

namespace crossloom::eval {

class SparseRows {
 public:
  int64_t row_count() const { return static_cast<int64_t>(offsets_.size()) - 1; }
  int64_t entry_count() const { return static_cast<int64_t>(columns_.size()); }

  /// Source columns of a row, strictly ascending, and their values; equal lengths.
  std::span<const int32_t> columns(int64_t row) const { return slice(columns_, row); }
  std::span<const double> values(int64_t row) const { return slice(values_, row); }
  /// Entries of row r are numbers [begin(r), begin(r + 1)) of all entries.
  int64_t begin(int64_t row) const { return offsets_[static_cast<size_t>(row)]; }

  /// Adds an entry to the row being built; zeros are not stored.
  void push(int32_t column, double value) {
    if (value == 0.0) {
      return;
    }
    const bool first = std::cmp_equal(offsets_.back(), columns_.size());
    CROSSLOOM_CHECK(column >= 0 && (first || columns_.back() < column),
                    "column {} of row {} is not above the one before it", column, row_count());
    columns_.push_back(column);
    values_.push_back(value);
  }
  void end_row() { offsets_.push_back(entry_count()); }

  /// `row` holds one value per column; zeros are skipped.
  template <typename Real>
  void add_dense_row(std::span<const Real> row) {
    for (size_t column = 0; column < row.size(); ++column) {
      push(static_cast<int32_t>(column), static_cast<double>(row[column]));
    }
    end_row();
  }

  void add_row(std::span<const int32_t> columns, std::span<const double> values) {
    CROSSLOOM_CHECK(columns.size() == values.size(), "{} columns, {} values", columns.size(),
                    values.size());
    for (size_t i = 0; i < columns.size(); ++i) {
      push(columns[i], values[i]);
    }
    end_row();
  }

  void reserve(int64_t entries) {
    columns_.reserve(static_cast<size_t>(entries));
    values_.reserve(static_cast<size_t>(entries));
  }

  bool operator==(const SparseRows&) const = default;

 private:
  template <typename T>
  std::span<const T> slice(const std::vector<T>& all, int64_t row) const {
    const auto first = static_cast<size_t>(begin(row));
    return {all.data() + first, static_cast<size_t>(begin(row + 1)) - first};
  }

  std::vector<int64_t> offsets_ = {0};  // [rows + 1]
  std::vector<int32_t> columns_;        // [entries]
  std::vector<double> values_;          // [entries]
};

}  // namespace crossloom::eval
