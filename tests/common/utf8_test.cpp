#include "common/utf8.h"

#include <gtest/gtest.h>

#include <utility>

namespace crossloom {
namespace {

TEST(Utf8, EveryCodePointSurvives) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    std::string text;
    append_utf8(text, c);
    const Utf8Step step = utf8_step(text, 0);
    const bool surrogate = c >= 0xD800 && c < 0xE000;
    ASSERT_EQ(step.valid, !surrogate) << uint32_t{c};
    if (!surrogate) {
      ASSERT_EQ(step.code_point, c);
      ASSERT_EQ(step.size_bytes, text.size());
    }
  }
}

TEST(Utf8, MaximalSubpartsBecomeOneReplacement) {
  // Unicode 15, table 3-8, and its neighbours.
  const std::string bad = "\uFFFD";
  const std::pair<const char*, int> cases[] = {
      {"\x80", 1},         {"\xC0\x80", 2},         {"\xC2", 1},          {"\xE0\x80\x80", 3},
      {"\xE2\x82", 1},     {"\xED\xA0\x80", 3},     {"\xF0\x9F\x98", 1},  {"\xF0\x8F\xBF", 3},
      {"\xF1\x80\x80", 1}, {"\xF4\x90\x80\x80", 4}, {"\xF5\x80", 2},      {"\xFF\xFE", 2},
      {"\xE1\x80\xE2", 2}, {"\xF0\x9F\xF0", 2},     {"\xC3\xC3\xA9z", 1},
  };
  for (const auto& [bytes, count] : cases) {
    std::string expected;
    for (int i = 0; i < count; ++i) {
      expected += bad;
    }
    expected += std::string(bytes) == "\xC3\xC3\xA9z" ? "éz" : "";
    EXPECT_EQ(repair_utf8(bytes), expected);
    EXPECT_FALSE(is_valid_utf8(bytes));
  }
  EXPECT_EQ(repair_utf8("a中😀"), "a中😀");
  EXPECT_TRUE(is_valid_utf8("a中😀"));
  EXPECT_TRUE(is_valid_utf8(""));
}

TEST(Utf8, WhiteSpaceIsUnicodesProperty) {
  int count = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    count += is_white_space(c) ? 1 : 0;
  }
  EXPECT_EQ(count, 25);
  EXPECT_TRUE(is_white_space(U'\u3000'));
  EXPECT_FALSE(is_white_space(U'\u180E'));  // no longer one since Unicode 6.3
  EXPECT_FALSE(is_white_space(U'\u200B'));
}

}  // namespace
}  // namespace crossloom
