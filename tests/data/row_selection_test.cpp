#include "data/row_selection.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/error.h"

namespace crossloom::data {
namespace {

TEST(RowSelection, RankAndSelectAgreeWithAList) {
  RowSelection selection;
  std::vector<int64_t> list;
  for (const auto& [begin, end] : {std::pair{3, 5}, {5, 6}, {10, 20}, {21, 22}, {40, 45}}) {
    selection.append(begin, end);
    for (int64_t row = begin; row < end; ++row) {
      list.push_back(row);
    }
  }
  ASSERT_EQ(selection.size(), int64_t(list.size()));
  for (size_t i = 0; i < list.size(); ++i) {
    EXPECT_EQ(selection.row(int64_t(i)), list[i]);
  }
  for (int64_t row = 0; row < 50; ++row) {
    EXPECT_EQ(selection.count_before(row),
              std::lower_bound(list.begin(), list.end(), row) - list.begin());
    EXPECT_EQ(selection.contains(row), std::binary_search(list.begin(), list.end(), row));
  }
  EXPECT_THROW(selection.append(44, 50), InternalError);
  EXPECT_THROW(static_cast<void>(selection.row(selection.size())), InternalError);
}

}  // namespace
}  // namespace crossloom::data
