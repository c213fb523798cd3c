#include "data/row_selection.h"

#include <algorithm>

#include "common/error.h"

namespace crossloom::data {

void RowSelection::append(int64_t begin, int64_t end) {
  CROSSLOOM_CHECK(begin < end && (intervals_.empty() || intervals_.back().end <= begin),
                  "interval [{}, {}) is out of order", begin, end);
  if (!intervals_.empty() && intervals_.back().end == begin) {
    intervals_.back().end = end;
  } else {
    intervals_.push_back({begin, end, size_});
  }
  size_ += end - begin;
}

int64_t RowSelection::row(int64_t i) const {
  CROSSLOOM_CHECK(i >= 0 && i < size_, "selected row {} of {}", i, size_);
  const auto after = std::upper_bound(
      intervals_.begin(), intervals_.end(), i,
      [](int64_t index, const Interval& interval) { return index < interval.before; });
  const Interval& interval = *(after - 1);
  return interval.begin + (i - interval.before);
}

int64_t RowSelection::count_before(int64_t row) const {
  const auto after = std::upper_bound(
      intervals_.begin(), intervals_.end(), row,
      [](int64_t value, const Interval& interval) { return value < interval.begin; });
  if (after == intervals_.begin()) {
    return 0;
  }
  const Interval& interval = *(after - 1);
  return interval.before + std::min(row, interval.end) - interval.begin;
}

bool RowSelection::contains(int64_t row) const {
  return count_before(row + 1) > count_before(row);
}

std::vector<int64_t> spread_rows(const RowSelection& selection, int64_t count) {
  const int64_t taken = std::min(count, selection.size());
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < taken; ++i) {
    rows.push_back(selection.row(i * selection.size() / taken));
  }
  return rows;
}

}  // namespace crossloom::data
