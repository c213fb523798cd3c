// A subset of the rows [0, N) as disjoint intervals, with rank and select in O(log #intervals): the
// i-th selected row, and how many selected rows lie before a row. Documents are contiguous in a
// cache, so the intervals number about as many as the documents, whatever N is.
#pragma once

#include <cstdint>
#include <vector>

namespace crossloom::data {

class RowSelection {
 public:
  /// Rows [begin, end); intervals are appended in ascending order and joined when they touch.
  void append(int64_t begin, int64_t end);

  int64_t size() const { return size_; }
  /// The i-th selected row; requires 0 ≤ i < size().
  int64_t row(int64_t i) const;
  /// Number of selected rows < `row`.
  int64_t count_before(int64_t row) const;
  bool contains(int64_t row) const;

 private:
  struct Interval {
    int64_t begin, end;
    int64_t before;  // selected rows in earlier intervals
  };
  std::vector<Interval> intervals_;
  int64_t size_ = 0;
};

/// `count` selected rows (all of them, if there are fewer) at equal distances, ascending.
std::vector<int64_t> spread_rows(const RowSelection& selection, int64_t count);

}  // namespace crossloom::data
