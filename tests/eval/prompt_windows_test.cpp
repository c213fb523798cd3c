// Where prompts may begin and end.
#include "eval/prompt_windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace crossloom::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(PromptWindows, SentencesRunToTheParagraphsEnd) {
  EXPECT_THAT(prompt_windows("One two. Three four! Five?\n\nSix."),
              ElementsAre("One two. Three four! Five?", "Three four! Five?", "Five?", "Six."));
}

TEST(PromptWindows, LinesThatBeginWithACapital) {
  EXPECT_THAT(prompt_windows("Shall I\n  Compare thee\nto a day"),
              ElementsAre("Shall I\n  Compare thee\nto a day", "Compare thee\nto a day"));
  EXPECT_THAT(prompt_windows("A\r\n \r\nB"), ElementsAre("A\r", "B"));
}

TEST(PromptWindows, QuotesBelongToTheirSentence) {
  EXPECT_THAT(prompt_windows(R"(He said: "Leave." (They went.) “No,” she said.)"),
              ElementsAre(R"(He said: "Leave." (They went.) “No,” she said.)",
                          "(They went.) “No,” she said.", "“No,” she said."));
}

TEST(PromptWindows, AbbreviationsAndDecimalsEndNoSentence) {
  EXPECT_THAT(prompt_windows("we met Mr. Smith of the U. S. Army and Gen. Lee at 3.5 Miles"),
              IsEmpty());
  EXPECT_THAT(prompt_windows("see p. 264 there"), IsEmpty());
}

TEST(PromptWindows, ScriptsWithoutCaseAndOtherAlphabets) {
  EXPECT_THAT(prompt_windows("École. Ñb.\n漢字"),
              ElementsAre("École. Ñb.\n漢字", "Ñb.\n漢字", "漢字"));
}

TEST(PromptWindows, NothingToBeginWith) {
  EXPECT_THAT(prompt_windows(""), IsEmpty());
  EXPECT_THAT(prompt_windows("\n\n12 - ...\n"), IsEmpty());
}

}  // namespace
}  // namespace crossloom::eval
