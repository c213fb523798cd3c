// The search with a model that knows the alphabet: every prompt obeys the rule, the result is a
// function of model, text and seed, and what cannot be done is refused by name.
#include "eval/prompt_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/support/expect_error.h"
#include "tests/support/letter_model.h"
#include "tests/support/temp_folder.h"

namespace crossloom::eval {
namespace {

constexpr double kFloat32 = 1e-5;  // logits near 8 in float32

class PromptSearch : public ::testing::Test {
 protected:
  PromptSearch() {
    test::write_letter_model(model_folder_.path());
    model_.emplace(models::Transformer::load(model_folder_.path(), at::kFloat));
    tokenizer_.emplace(models::Tokenizer::load(model_folder_.path()));
    options_.min_tokens = 3;
    options_.max_tokens = 9;
    options_.frequent_tokens = 0;
    options_.count = 20;
    options_.per_answer = 2;
  }
  std::vector<Prompt> search(int files = 40, int letters = 14) {
    test::write_letter_texts(texts_.path(), files, letters);
    const data::TextSource text({texts_.path()}, 0, 0);
    return search_prompts(*model_, *tokenizer_, text, options_, "the letters");
  }
  void expect_refused(std::vector<std::string> phrases, int files = 40, int letters = 14) {
    phrases.push_back("the letters");
    test::expect_error<DataError>([&] { search(files, letters); }, phrases);
  }

  test::TempFolder model_folder_, texts_;
  std::optional<models::Transformer> model_;
  std::optional<models::Tokenizer> tokenizer_;
  PromptSearchOptions options_;
};

TEST_F(PromptSearch, EveryPromptObeysTheRule) {
  const auto prompts = search();
  ASSERT_EQ(prompts.size(), 20U);
  std::map<std::string, int> answers, documents;
  for (const auto& prompt : prompts) {
    const auto length = int64_t(prompt.tokens.size()) - 1;
    EXPECT_TRUE(3 <= length && length <= 9) << prompt.text;
    EXPECT_EQ(prompt.tokens[0], 0);  // BOS
    EXPECT_EQ(models::with_bos(tokenizer_->encode(prompt.text), *tokenizer_, 0), prompt.tokens);
    const char last = prompt.text.back();
    EXPECT_EQ(prompt.answer, std::string(" ") + (last == 'z' ? 'a' : char(last + 1)));
    EXPECT_EQ(prompt.answer_id, test::spaced_letter(prompt.answer[1]));
    EXPECT_NEAR(prompt.probability, test::letter_probability(last), kFloat32) << prompt.text;
    EXPECT_TRUE(prompt.answer != " z" && prompt.answer != " d");  // certain; in doubt
    EXPECT_LE(++answers[prompt.answer], 2);
    EXPECT_EQ(++documents[prompt.document], 1);
  }
}

TEST_F(PromptSearch, AFunctionOfTheSeed) {
  const std::string first = prompts_to_jsonl(search());
  EXPECT_EQ(prompts_to_jsonl(search()), first);
  options_.seed = 1;
  EXPECT_NE(prompts_to_jsonl(search()), first);
}

TEST_F(PromptSearch, FrequentTokensOfTheTextAreNoAnswers) {
  options_.count = 5;
  options_.frequent_tokens = 10;
  std::map<char, int64_t> counts;
  for (int file = 0; file < 40; ++file) {  // as write_letter_texts makes them
    for (int j = 1; j < 14; ++j) {
      ++counts[char('a' + (file + j) % test::kLetters)];
    }
  }
  std::vector<std::pair<int64_t, char>> order;
  for (const auto& [letter, count] : counts) {
    order.emplace_back(-count, letter);
  }
  std::sort(order.begin(), order.end());
  for (const auto& prompt : search()) {
    for (int i = 0; i < 8; ++i) {  // the other two are full stop and line end
      EXPECT_NE(prompt.answer[1], order[size_t(i)].second);
    }
  }
}

TEST_F(PromptSearch, TellsOfEveryWindow) {
  test::write_letter_texts(texts_.path(), 40, 14);
  const data::TextSource text({texts_.path()}, 0, 0);
  int64_t calls = 0;
  int64_t last = 0;
  search_prompts(*model_, *tokenizer_, text, options_, "", [&](int64_t found, int64_t windows) {
    EXPECT_EQ(windows, ++calls);
    last = found;
  });
  EXPECT_EQ(last, 20);
}

TEST_F(PromptSearch, TooFewOfThem) {
  options_.min_probability = 0.805;  // only what follows v, w, x and z
  options_.per_answer = 1;
  expect_refused({"Too few prompts", "20 prompts", "4 in ", "all the text",
                  "most were rejected because the model is less sure than min_probability",
                  "the model is surer", "its answer has enough prompts already",
                  "Lower --min_probability"});
  options_.max_windows = 7;
  expect_refused({"in 7 windows (max_windows)", "Raise --max_windows"});
}

TEST_F(PromptSearch, TooLittleText) {
  expect_refused({"too few documents", "at least 20", "19 in", "--document_bytes"}, 19);
}

TEST_F(PromptSearch, TooShortText) {
  expect_refused({"too short", "at least 4 tokens", "--min_tokens"}, 40, 1);
}

TEST_F(PromptSearch, ModelsThatCannotDoIt) {
  options_.max_tokens = 64;
  EXPECT_ERROR(ConfigError, "max_tokens", search());
  options_.max_tokens = 9;
  auto spec = model_->spec();
  spec.bos_id = -1;
  auto weights = model_->weights();
  model_.emplace(std::move(spec), std::move(weights));
  EXPECT_ERROR(ConfigError, "no BOS", search());
}

TEST_F(PromptSearch, OptionsOutOfRange) {
  const auto check = [&](int64_t PromptSearchOptions::*option, int64_t value) {
    auto options = options_;
    options.*option = value;
    options.check();
  };
  EXPECT_ERROR(ConfigError, "count", check(&PromptSearchOptions::count, 0));
  EXPECT_ERROR(ConfigError, "seed", check(&PromptSearchOptions::seed, -1));
  EXPECT_ERROR(ConfigError, "max_windows", check(&PromptSearchOptions::max_windows, 0));
  EXPECT_ERROR(ConfigError, "counted_tokens", check(&PromptSearchOptions::counted_tokens, 0));
  EXPECT_ERROR(ConfigError, "windows_per_document",
               check(&PromptSearchOptions::windows_per_document, 0));
}

}  // namespace
}  // namespace crossloom::eval
