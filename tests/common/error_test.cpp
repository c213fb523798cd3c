#include "common/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tests/support/expect_error.h"

namespace crossloom {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ConfigError sample() {
  return ConfigError({.what = "Something is wrong",
                      .expected = "this",
                      .got = "that",
                      .where = "file.yaml:3",
                      .hint = "Change it."});
}

TEST(Error, ScreenSaysFiveThings) {
  EXPECT_EQ(sample().screen(),
            "ConfigError: Something is wrong\n"
            "  expected  this\n"
            "  got       that\n"
            "  where     file.yaml:3\n"
            "  to do     Change it.\n");
}

TEST(Error, EmptyPartsTakeNoLine) {
  const DataError error(
      {.what = "Cut off", .expected = {}, .got = {}, .where = {}, .hint = "Fetch it again."});
  EXPECT_EQ(error.screen(), "DataError: Cut off\n  to do     Fetch it again.\n");
}

TEST(Error, WhatHoldsEveryPartInOneLine) {
  const std::string text = sample().what();
  for (const char* part : {"Something is wrong", "this", "that", "file.yaml:3", "Change it."}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, Not(HasSubstr("\n")));
}

TEST(Error, LongPartsAreCutBetweenCharacters) {
  std::string long_text = "x";
  for (int i = 0; i < 5000; ++i) {
    long_text += "é";  // two bytes: an even cut would fall inside one
  }
  const DataError error({.what = "w", .expected = {}, .got = long_text, .where = {}, .hint = {}});
  const std::string screen = error.screen();
  EXPECT_LT(screen.size(), 800U);
  EXPECT_THAT(screen, HasSubstr("é … (10001 bytes in all)"));
}

TEST(Error, ControlCharactersAreMadeVisible) {
  const DataError error({.what = std::string("a\0b", 3),
                         .expected = {},
                         .got = "\x1b[2Jgone\r",
                         .where = {},
                         .hint = "one\ntwo"});
  EXPECT_THAT(error.screen(), HasSubstr("a\\x00b"));
  EXPECT_THAT(error.screen(), HasSubstr("\\x1B[2Jgone\\x0D"));
  EXPECT_THAT(error.screen(), HasSubstr("one\ntwo"));
  EXPECT_THAT(std::string(error.what()), HasSubstr("a\\x00b"));
}

TEST(Error, CheckThrowsInternalErrorWithFormattedDetail) {
  const auto check = [](int value) { CROSSLOOM_CHECK(value == 2, "value is {}", value); };
  EXPECT_NO_THROW(check(2));
  EXPECT_ERROR(InternalError, "value is 3", check(3));
  EXPECT_ERROR(InternalError, "value == 2", check(3));
  EXPECT_ERROR(InternalError, "error_test.cpp", check(3));
}

TEST(Format, Bytes) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1000), "1 KB");
  EXPECT_EQ(human_bytes(97'300), "97.3 KB");
  EXPECT_EQ(human_bytes(999'700), "1 MB");
  EXPECT_EQ(human_bytes(1.4e9), "1.4 GB");
  EXPECT_EQ(human_bytes(2e18), "2e+03 PB");
}

TEST(Format, Seconds) {
  EXPECT_EQ(human_seconds(0.4), "0 s");
  EXPECT_EQ(human_seconds(59.7), "1 min 00 s");
  EXPECT_EQ(human_seconds(125), "2 min 05 s");
  EXPECT_EQ(human_seconds(11'520), "3 h 12 min");
}

}  // namespace
}  // namespace crossloom
