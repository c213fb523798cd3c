// Prompt files: what is written is read again; whatever is wrong is refused by file and line.
#include "eval/prompt_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/files.h"
#include "tests/support/temp_folder.h"

namespace crossloom::eval {
namespace {

using ::testing::HasSubstr;

std::vector<Prompt> two_prompts() {
  return {{.text = "A \"quoted\"\nline",
           .tokens = {1, 5, 7},
           .answer = " ça",
           .answer_id = 9,
           .probability = 0.76543219,
           .entropy = 1.25,
           .document = "a.txt, bytes 0 … 12"},
          {.text = "Two",
           .tokens = {1, 2},
           .answer = " b",
           .answer_id = 0,
           .probability = 1.0,
           .entropy = 0.0,
           .document = ""}};
}

class PromptFile : public ::testing::Test {
 protected:
  /// Reads a file of one good line and this one.
  void read_with(const std::string& line) {
    test::put_file(path_, prompts_to_jsonl(two_prompts()).substr(0, end_of_first()) + line + "\n");
    read_prompts(path_);
  }
  /// A good line with one key changed; null removes it.
  static std::string changed(const char* key, const Json& value) {
    Json object = Json::parse(prompts_to_jsonl(two_prompts()).substr(end_of_first()));
    object[key] = value;
    if (value.is_null()) {
      object.erase(key);
    }
    return object.dump();
  }
  void expect_refused(const std::string& line, std::vector<std::string> phrases) {
    phrases.push_back("prompts.jsonl, line 2");
    test::expect_error<DataError>([&] { read_with(line); }, phrases);
  }
  static size_t end_of_first() { return prompts_to_jsonl({two_prompts()[0]}).size(); }

  test::TempFolder folder_;
  std::string path_ = folder_.file("prompts.jsonl");
};

TEST_F(PromptFile, WhatIsWrittenIsRead) {
  test::put_file(path_, prompts_to_jsonl(two_prompts()));
  const auto prompts = read_prompts(path_);
  ASSERT_EQ(prompts.size(), 2U);
  EXPECT_EQ(prompts[0].text, two_prompts()[0].text);
  EXPECT_EQ(prompts[0].tokens, two_prompts()[0].tokens);
  EXPECT_EQ(prompts[0].answer, " ça");
  EXPECT_EQ(prompts[0].answer_id, 9);
  EXPECT_EQ(prompts[0].probability, 0.7654);
  EXPECT_EQ(prompts[0].entropy, 1.25);
  EXPECT_EQ(prompts[0].document, two_prompts()[0].document);
  EXPECT_EQ(prompts_to_jsonl(prompts), test::bytes_of_file(path_));
}

TEST_F(PromptFile, OneObjectALineInAFixedOrderOfKeys) {
  EXPECT_EQ(prompts_to_jsonl({two_prompts()[1]}),
            "{\"prompt\":\"Two\",\"tokens\":[1,2],\"answer\":\" b\",\"answer_id\":0,"
            "\"probability\":1.0,\"entropy\":0.0,\"document\":\"\"}\n");
}

TEST_F(PromptFile, TheLastLineMayLackItsEnd) {
  const std::string text = prompts_to_jsonl(two_prompts());
  test::put_file(path_, text.substr(0, text.size() - 1));
  EXPECT_EQ(read_prompts(path_).size(), 2U);
}

TEST_F(PromptFile, LinesThatAreNoPrompt) {
  expect_refused("", {"not valid JSON"});
  expect_refused("{\"prompt\": \"cut o", {"not valid JSON"});
  expect_refused("[1, 2]", {"no prompt", "one JSON object", "array"});
  expect_refused("\xFF", {"not valid JSON"});
}

TEST_F(PromptFile, KeysThatAreMissingUnknownOrOfTheWrongType) {
  for (const char* key :
       {"prompt", "tokens", "answer", "answer_id", "probability", "entropy", "document"}) {
    expect_refused(changed(key, nullptr), {std::string("'") + key + "'", "nothing"});
    expect_refused(changed(key, {{"a", 1}}), {std::string("'") + key + "'", "{\"a\":1}"});
  }
  expect_refused(changed("anwser", "x"), {"anwser", "Did you mean 'answer'"});
}

TEST_F(PromptFile, ValuesOutOfRange) {
  expect_refused(changed("prompt", ""), {"'prompt'"});
  expect_refused(changed("answer", ""), {"'answer'"});
  expect_refused(changed("answer_id", -1), {"'answer_id'", "-1"});
  expect_refused(changed("answer_id", 3'000'000'000), {"'answer_id'"});
  expect_refused(changed("probability", 0.0), {"'probability'"});
  expect_refused(changed("probability", 1.5), {"'probability'", "1.5"});
  expect_refused(changed("entropy", -0.1), {"'entropy'"});
  expect_refused(changed("tokens", Json::array()), {"'tokens'", "[]"});
  expect_refused(changed("tokens", {1, -2}), {"'tokens'", "[1,-2]"});
  expect_refused(changed("tokens", {1, 2.5}), {"'tokens'"});
  expect_refused(changed("tokens", {1, 3'000'000'000}), {"'tokens'"});
}

TEST_F(PromptFile, APromptThatIsThereTwice) {
  const std::string first = prompts_to_jsonl({two_prompts()[0]});
  expect_refused(first.substr(0, first.size() - 1), {"twice", "line 1"});
}

TEST_F(PromptFile, NoPromptAndNoFile) {
  test::put_file(path_, "");
  EXPECT_ERROR(DataError, "holds none", read_prompts(path_));
  EXPECT_ERROR(DataError, "absent.jsonl", read_prompts(folder_.file("absent.jsonl")));
}

}  // namespace
}  // namespace crossloom::eval
