#include "common/nearest.h"

#include <gtest/gtest.h>

namespace crossloom {
namespace {

TEST(Nearest, EditDistance) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("flaw", "lawn"), 2U);
  EXPECT_EQ(edit_distance("steps", "stpes"), 2U);
}

TEST(Nearest, PicksTheNearestAndTheFirstOfEquals) {
  EXPECT_EQ(nearest_name("stpes", {"seed", "steps", "width"}), "steps");
  EXPECT_EQ(nearest_name("x", {"a", "b"}), "a");
  EXPECT_EQ(nearest_name("x", {}), "");
}

}  // namespace
}  // namespace crossloom
