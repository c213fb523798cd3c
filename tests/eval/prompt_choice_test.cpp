// The rule on hand-made cases: what passes, every reason for a rejection, the draw, the counts.
#include "eval/prompt_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/expect_error.h"

namespace crossloom::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr TokenId kBos = 0;

/// Tokens by id; text is cut greedily into the longest that fit.
const std::vector<std::string> kWords = {"<s>", "The",   " cat", " sat", " on", " a", " mat", "s",
                                         ".",   " cats", " 7",   "cat",  " ça", " s", "at"};

PromptTexts word_texts() {
  return {.decode =
              [](const std::vector<TokenId>& ids) {
                std::string text;
                for (const TokenId id : ids) {
                  text += kWords.at(size_t(id));
                }
                return text;
              },
          .encode =
              [](const std::string& text) {
                std::vector<TokenId> ids{kBos};
                for (size_t at = 0; at < text.size();) {
                  size_t best = 0;
                  for (size_t id = 1; id < kWords.size(); ++id) {
                    const bool fits = text.compare(at, kWords[id].size(), kWords[id]) == 0;
                    best = fits && kWords[id].size() > kWords[best].size() ? id
                           : fits && best == 0                             ? id
                                                                           : best;
                  }
                  ids.push_back(TokenId(best));
                  at += kWords[best].size();
                }
                return ids;
              }};
}

PromptRule small_rule() {
  PromptRule rule;
  rule.min_tokens = 2;
  rule.max_tokens = 4;
  return rule;
}

/// A window in which the model expects every token with this probability.
PromptWindow window_of(std::vector<TokenId> ids, double probability = 0.7) {
  PromptWindow window{.ids = std::move(ids), .next = {}, .document = "a.txt"};
  for (size_t i = 1; i < window.ids.size(); ++i) {
    window.next.push_back({.top = window.ids[i], .probability = probability, .entropy = 1.5});
  }
  return window;
}

PromptChooser chooser_of(const PromptRule& rule = small_rule(), std::set<TokenId> frequent = {}) {
  return {rule, word_texts(), std::move(frequent)};
}

// "The cat sat on a mat": the answer at index 3 is " sat".
const std::vector<TokenId> kSentence = {kBos, 1, 2, 3, 4, 5, 6};
constexpr size_t kSat = 3;

TEST(PromptChoice, AGoodPositionBreaksNoRule) {
  EXPECT_THAT(chooser_of().broken_rules(window_of(kSentence), kSat), IsEmpty());
}

TEST(PromptChoice, TheModelMustBeRightAndSureButNotTrivially) {
  const auto chooser = chooser_of();
  auto wrong = window_of(kSentence);
  wrong.next[kSat - 1].top = 4;
  EXPECT_THAT(chooser.broken_rules(wrong, kSat), ElementsAre(Rejection::kWrong));
  wrong.next[kSat - 1].probability = 0.99;  // of another token: not the answer's
  EXPECT_THAT(chooser.broken_rules(wrong, kSat), ElementsAre(Rejection::kWrong));
  const auto at = [&](double p) { return chooser.broken_rules(window_of(kSentence, p), kSat); };
  EXPECT_THAT(at(0.49), ElementsAre(Rejection::kUnsure));
  EXPECT_THAT(at(std::nan("")), ElementsAre(Rejection::kUnsure));
  EXPECT_THAT(at(0.5), IsEmpty());
  EXPECT_THAT(at(0.98), IsEmpty());
  EXPECT_THAT(at(0.981), ElementsAre(Rejection::kTooSure));
}

TEST(PromptChoice, TheAnswerBeginsAWord) {
  const auto chooser = chooser_of();
  const auto after_cat = [&](TokenId answer) {
    return chooser.broken_rules(window_of({kBos, 1, 2, answer}), 3);
  };
  EXPECT_THAT(after_cat(7), ElementsAre(Rejection::kNoNewWord));   // "s": a piece
  EXPECT_THAT(after_cat(8), ElementsAre(Rejection::kNoNewWord));   // "."
  EXPECT_THAT(after_cat(10), ElementsAre(Rejection::kNoNewWord));  // " 7"
  EXPECT_THAT(after_cat(12), IsEmpty());                           // " ça"
}

TEST(PromptChoice, TheAnswerIsNoFunctionWord) {
  EXPECT_THAT(chooser_of(small_rule(), {3}).broken_rules(window_of(kSentence), kSat),
              ElementsAre(Rejection::kFrequent));
}

TEST(PromptChoice, TheAnswerIsNoCopy) {
  auto rule = small_rule();
  const auto repeats = window_of({kBos, 1, 2, 3, 2});    // The cat sat| cat
  const auto unspaced = window_of({kBos, 11, 3, 4, 2});  // cat sat on| cat
  EXPECT_THAT(chooser_of(rule).broken_rules(repeats, 4), ElementsAre(Rejection::kRepeated));
  EXPECT_THAT(chooser_of(rule).broken_rules(unspaced, 4), ElementsAre(Rejection::kRepeated));
  rule.allow_repeats = true;
  EXPECT_THAT(chooser_of(rule).broken_rules(repeats, 4), IsEmpty());
}

TEST(PromptChoice, TheTextGivesTheSameIds) {
  const auto split = window_of({kBos, 1, 13, 14, 4, 2});  // "The", " s", "at": text gives " sat"
  EXPECT_THAT(chooser_of().broken_rules(split, 5), ElementsAre(Rejection::kNotExact));
  const auto special = window_of({1, 2, 3, 4});  // a text that brought its own first token
  EXPECT_THAT(chooser_of().broken_rules(special, 3), ElementsAre(Rejection::kNotExact));
}

TEST(PromptChoice, AnAnswerIsUsedOnlySoOftenAndAPromptOnce) {
  auto rule = small_rule();
  rule.max_tokens = 2;  // " sat" or nothing
  rule.per_answer = 2;
  auto chooser = chooser_of(rule);
  const auto first = window_of(kSentence);
  const auto second = window_of({kBos, 1, 9, 3});  // The cats| sat
  const auto third = window_of({kBos, 1, 6, 3});   // The mat| sat
  EXPECT_TRUE(chooser.choose(first, 0.0));
  EXPECT_THAT(chooser.broken_rules(first, kSat), ElementsAre(Rejection::kUsed));
  EXPECT_TRUE(chooser.choose(second, 0.0));
  EXPECT_FALSE(chooser.choose(third, 0.0));
  EXPECT_THAT(chooser.broken_rules(third, kSat), ElementsAre(Rejection::kUsed));
}

TEST(PromptChoice, SeveralReasonsAtOnce) {
  auto window = window_of({kBos, 1, 2, 7});
  window.next[2].top = 1;
  EXPECT_THAT(chooser_of(small_rule(), {7}).broken_rules(window, 3),
              ElementsAre(Rejection::kWrong, Rejection::kNoNewWord, Rejection::kFrequent));
}

TEST(PromptChoice, TheDrawPicksAmongThosePassingWithinTheLengths) {
  const auto answer = [](double draw) {
    return chooser_of().choose(window_of(kSentence), draw)->answer;
  };
  EXPECT_EQ(answer(0.0), " sat");  // 2, 3 and 4 tokens of prompt pass
  EXPECT_EQ(answer(0.34), " on");
  EXPECT_EQ(answer(0.99), " a");
  const auto short_window = window_of({kBos, 1, 2});
  EXPECT_FALSE(chooser_of().choose(short_window, 0.0));
}

TEST(PromptChoice, APromptSaysAllAboutItself) {
  const auto prompt = chooser_of().choose(window_of(kSentence), 0.0);
  ASSERT_TRUE(prompt);
  EXPECT_EQ(prompt->text, "The cat");
  EXPECT_THAT(prompt->tokens, ElementsAre(kBos, 1, 2));
  EXPECT_EQ(prompt->answer_id, 3);
  EXPECT_EQ(prompt->probability, 0.7);
  EXPECT_EQ(prompt->entropy, 1.5);
  EXPECT_EQ(prompt->document, "a.txt");
}

TEST(PromptChoice, TheTallyCountsEveryBrokenRule) {
  auto chooser = chooser_of(small_rule(), {4});
  auto window = window_of(kSentence);
  window.next[3].top = 1;  // " on": wrong and frequent
  window.next[4].top = 1;  // " a": wrong only
  chooser.choose(window, 0.0);
  const auto& tally = chooser.tally();
  EXPECT_EQ(tally.positions, 3);
  EXPECT_EQ(tally.all[size_t(Rejection::kWrong)], 2);
  EXPECT_EQ(tally.alone[size_t(Rejection::kWrong)], 1);
  EXPECT_EQ(tally.all[size_t(Rejection::kFrequent)], 1);
  EXPECT_EQ(tally.alone[size_t(Rejection::kFrequent)], 0);
  EXPECT_EQ(tally.most(), Rejection::kWrong);
}

TEST(PromptChoice, RulesOutOfRange) {
  const auto check = [](auto change) {
    PromptRule rule;
    change(rule);
    rule.check();
  };
  EXPECT_ERROR(ConfigError, "min_tokens", check([](auto& r) { r.min_tokens = 0; }));
  EXPECT_ERROR(ConfigError, "max_tokens", check([](auto& r) { r.max_tokens = 7; }));
  EXPECT_ERROR(ConfigError, "per_answer", check([](auto& r) { r.per_answer = 0; }));
  EXPECT_ERROR(ConfigError, "max_probability", check([](auto& r) { r.max_probability = 1.1; }));
  EXPECT_ERROR(ConfigError, "0.99 and 0.98", check([](auto& r) { r.min_probability = 0.99; }));
  EXPECT_ERROR(ConfigError, "nan", check([](auto& r) { r.min_probability = std::nan(""); }));
}

TEST(NextToken, KnownDistributions) {
  const std::vector<double> even(8, 3.0);
  const auto uniform = read_next_token(even);
  EXPECT_EQ(uniform.top, 0);  // a tie: the lower id
  EXPECT_DOUBLE_EQ(uniform.probability, 0.125);
  EXPECT_NEAR(uniform.entropy, std::log(8.0), 1e-15);
  const double minus_infinity = -std::numeric_limits<double>::infinity();
  const auto coin = read_next_token(std::vector<double>{minus_infinity, std::log(3.0), 0.0});
  EXPECT_EQ(coin.top, 1);
  EXPECT_DOUBLE_EQ(coin.probability, 0.75);
  EXPECT_NEAR(coin.entropy, -0.75 * std::log(0.75) - 0.25 * std::log(0.25), 1e-15);
  const auto large = read_next_token(std::vector<double>{1e300, 1e300});  // no overflow
  EXPECT_DOUBLE_EQ(large.probability, 0.5);
}

TEST(MostFrequent, TiesGoToTheLowerIdAndTheUnseenNeverCount) {
  const std::vector<int64_t> counts = {5, 0, 9, 5, 1};
  EXPECT_THAT(most_frequent(counts, 2), ElementsAre(0, 2));
  EXPECT_THAT(most_frequent(counts, 9), ElementsAre(0, 2, 3, 4));
  EXPECT_THAT(most_frequent(counts, 0), IsEmpty());
}

}  // namespace
}  // namespace crossloom::eval
