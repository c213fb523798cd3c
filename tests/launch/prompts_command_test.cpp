// crossloom prompts as a program: what it writes, what it keeps, what it refuses; and with the real
// model that every prompt, written now or lying in launch/configs, obeys the rule when it is scored
// again alone.
#include <gtest/gtest.h>

#include <filesystem>

#include "eval/prompt_search.h"
#include "models/generate.h"
#include "tests/support/files.h"
#include "tests/support/letter_model.h"
#include "tests/support/real_model.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_folder.h"

namespace crossloom::launch {
namespace {

namespace fs = std::filesystem;

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

class PromptsCommand : public ::testing::Test {
 protected:
  PromptsCommand() {
    fs::create_directory(path("model"));
    fs::create_directory(path("text"));
    test::write_letter_model(path("model"));
    test::write_letter_texts(path("text"), 40, 14);
  }
  std::string path(const std::string& name) const { return folder_.file(name); }
  std::string output() const { return path("out/prompts.jsonl"); }
  std::string arguments(const std::string& more = {}) const {
    return fmt::format(
        "prompts {} --text {} --output {} --count 8 --min_tokens 3 --max_tokens 9 "
        "--frequent_tokens 0 {}",
        path("model"), path("text"), output(), more);
  }
  static void expect_exit(const test::ProgramResult& result, int code,
                          const std::vector<std::string>& phrases) {
    EXPECT_EQ(result.exit_code, code) << result.output;
    for (const auto& phrase : phrases) {
      EXPECT_NE(result.output.find(phrase), std::string::npos) << "'" << phrase << "' is not in:\n"
                                                               << result.output;
    }
  }

  test::TempFolder folder_;
};

TEST_F(PromptsCommand, WritesPromptsThatTheReaderReads) {
  expect_exit(test::crossloom(arguments()), 0, {"written", "8 prompts"});
  const auto prompts = eval::read_prompts(output());
  ASSERT_EQ(prompts.size(), 8U);
  for (const auto& prompt : prompts) {
    EXPECT_EQ(prompt.document.substr(3, 10), ".txt, byte") << prompt.document;  // no folder
  }
}

TEST_F(PromptsCommand, TheSameBytesForAnyThreadAndRankCount) {
  ASSERT_EQ(test::crossloom(arguments()).exit_code, 0);
  const std::string first = test::bytes_of_file(output());
  const std::string record = test::bytes_of_file(output() + ".rule.yaml");
  const std::string again = CROSSLOOM_PROGRAM " " + arguments("--force");
  expect_exit(test::run_shell("OMP_NUM_THREADS=1 " + again), 0, {"written"});
  EXPECT_EQ(test::bytes_of_file(output()), first);
  expect_exit(test::crossloom_ranks(2, arguments("--force")), 0, {"written"});
  EXPECT_EQ(test::bytes_of_file(output()), first);
  EXPECT_EQ(test::bytes_of_file(output() + ".rule.yaml"), record);
}

TEST_F(PromptsCommand, KeepsWhatTheSameOptionsMade) {
  ASSERT_EQ(test::crossloom(arguments()).exit_code, 0);
  const auto written = fs::last_write_time(output());
  expect_exit(test::crossloom(arguments()), 0, {"is there already"});
  EXPECT_EQ(fs::last_write_time(output()), written);
}

TEST_F(PromptsCommand, RefusesToOverwriteOtherFiles) {
  ASSERT_EQ(test::crossloom(arguments()).exit_code, 0);
  const std::string made = test::bytes_of_file(output());
  expect_exit(test::crossloom(arguments("--seed 5")), kExitUsage,
              {"seed: 0 (now: seed: 5)", "prompts.jsonl", "--force"});
  EXPECT_EQ(test::bytes_of_file(output()), made);
  expect_exit(test::crossloom(arguments("--seed 5 --force")), 0, {"written"});
  EXPECT_NE(test::bytes_of_file(output()), made);

  test::put_file(output(), made);  // changed since
  expect_exit(test::crossloom(arguments("--seed 5")), kExitUsage, {"prompts_hash"});
  fs::remove(output() + ".rule.yaml");
  expect_exit(test::crossloom(arguments()), kExitUsage, {"no record of how it was made"});
  EXPECT_EQ(test::bytes_of_file(output()), made);
}

TEST_F(PromptsCommand, DryRunSaysTheCostAndWritesNothing) {
  expect_exit(test::crossloom(arguments("--dry-run")), 0,
              {"min_probability: 0.5", "40 documents", "at most 160 windows of 10 tokens"});
  EXPECT_FALSE(fs::exists(path("out")));
}

TEST_F(PromptsCommand, TooFewPromptsWriteNothing) {
  expect_exit(test::crossloom(arguments("--min_probability 0.9")), kExitFailed,
              {"Too few prompts", "0 in 40 windows", "less sure than min_probability"});
  EXPECT_FALSE(fs::exists(path("out")));
}

TEST_F(PromptsCommand, MissingEmptyAndShortInput) {
  expect_exit(test::crossloom("prompts /nowhere --text " + path("text")), kExitFailed,
              {"/nowhere"});
  expect_exit(test::crossloom("prompts " + path("model")), kExitUsage, {"--text"});
  expect_exit(test::crossloom("prompts --text " + path("text")), kExitUsage, {"--model"});
  const auto with_text = [&](const std::string& text) {
    return test::crossloom(
        fmt::format("prompts {} --text {} --output {}", path("model"), text, output()));
  };
  expect_exit(with_text("/no/text"), kExitUsage, {"/no/text", "no such text"});
  test::put_file(path("empty.txt"), "\n\n");
  expect_exit(with_text(path("empty.txt")), kExitFailed, {"no text", "empty.txt"});
  test::put_file(path("short.txt"), "A b c.");
  expect_exit(with_text(path("short.txt")), kExitFailed, {"too few documents", "short.txt"});
  expect_exit(test::crossloom(arguments("--min_probability 2")), kExitUsage, {"min_probability"});
  EXPECT_FALSE(fs::exists(path("out")));
}

class PromptsSmollm2 : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!test::real_model_folder() || !test::text_folder()) {
      GTEST_SKIP() << "model or text is not there (launch/test.sh makes them)";
    }
    model_.emplace(models::Transformer::load(*test::real_model_folder(), at::kFloat));
    tokenizer_.emplace(models::Tokenizer::load(*test::real_model_folder()));
  }

  /// Every prompt alone: its text to ids, one forward pass, the rule's words one by one. The rule
  /// for frequent tokens needs the whole text and is tested with the small model.
  void expect_rule(const std::vector<eval::Prompt>& prompts, const eval::PromptRule& rule) {
    std::set<models::TokenId> answers;
    for (const auto& prompt : prompts) {
      SCOPED_TRACE(prompt.text);
      const auto bos = models::TokenId(model_->spec().bos_id);
      const auto ids = models::with_bos(tokenizer_->encode(prompt.text), *tokenizer_, bos);
      EXPECT_EQ(ids, prompt.tokens);
      EXPECT_GE(int64_t(ids.size()) - 1, rule.min_tokens);
      EXPECT_LE(int64_t(ids.size()) - 1, rule.max_tokens);
      EXPECT_EQ(tokenizer_->decode({prompt.answer_id}), prompt.answer);
      EXPECT_EQ(prompt.answer[0], ' ');
      EXPECT_TRUE(std::isalpha(static_cast<unsigned char>(prompt.answer[1])));  // English text
      EXPECT_EQ(std::count(ids.begin(), ids.end(), prompt.answer_id), 0);
      EXPECT_TRUE(answers.insert(prompt.answer_id).second);
      const at::Tensor logits = model_->forward(models::token_tensor(ids));
      const at::Tensor p = logits[logits.size(0) - 1].to(at::kDouble).softmax(0);
      EXPECT_EQ(p.argmax().item<int64_t>(), prompt.answer_id);
      EXPECT_NEAR(p.max().item<double>(), prompt.probability, kScore);
      EXPECT_NEAR(-(p * p.log()).sum().item<double>(), prompt.entropy, kScore);
      EXPECT_GE(p.max().item<double>(), rule.min_probability - kScore);
      EXPECT_LE(p.max().item<double>(), rule.max_probability + kScore);
    }
  }

  static constexpr double kScore = 1e-3;  // four decimals, float32 on other thread counts
  std::optional<models::Transformer> model_;
  std::optional<models::Tokenizer> tokenizer_;
};

TEST_F(PromptsSmollm2, FreshPromptsObeyTheRule) {
  const test::TempFolder folder;
  const auto result = test::crossloom(
      fmt::format("prompts {} --text {}/sotu --output {} --count 4 --seed 3 --max_tokens 20",
                  *test::real_model_folder(), *test::text_folder(), folder.file("p.jsonl")));
  ASSERT_EQ(result.exit_code, 0) << result.output;
  const auto prompts = eval::read_prompts(folder.file("p.jsonl"));
  EXPECT_EQ(prompts.size(), 4U);
  eval::PromptRule rule;
  rule.max_tokens = 20;
  expect_rule(prompts, rule);
}

TEST_F(PromptsSmollm2, TheRepositorysPromptsObeyTheRule) {
  const auto prompts =
      eval::read_prompts(CROSSLOOM_TEST_FOLDER "/../launch/configs/prompts_smollm2.jsonl");
  EXPECT_EQ(prompts.size(), 16U);
  expect_rule(prompts, {});
}

}  // namespace
}  // namespace crossloom::launch
