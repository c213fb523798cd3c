#include "data/token_windows.h"

#include <gtest/gtest.h>

#include <fstream>
#include <mutex>

#include "tests/support/byte_model.h"
#include "tests/support/temp_folder.h"

namespace crossloom::data {
namespace {

std::vector<TokenId> ids_of(const std::string& text) {
  return test::byte_encoder().encode(text);
}

std::vector<TokenWindow> cut(const std::string& text, int64_t context_len) {
  return cut_windows(ids_of(text), 5, context_len, test::byte_encoder());
}

TEST(TokenWindows, HoldContextMinusOneTokens) {
  const auto windows = cut("abcdefghij", 5);  // BOS + 4
  ASSERT_EQ(windows.size(), 3u);
  const int64_t lengths[] = {4, 4, 2};
  int64_t begin = 0;
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(windows[i].document, 5);
    EXPECT_EQ(windows[i].begin, begin);
    EXPECT_EQ(windows[i].length, lengths[i]);
    EXPECT_EQ(windows[i].rows, lengths[i]) << "every token but the BOS is stored";
    begin += lengths[i];
  }
  EXPECT_TRUE(cut("", 5).empty());
}

/// A window that begins with a special token gets no BOS; that token is position 0, not stored.
TEST(TokenWindows, SpecialTokensStandForTheBos) {
  const auto windows = cut("#bcdefg", 5);
  ASSERT_EQ(windows.size(), 2u);
  EXPECT_EQ(windows[0].length, 5);
  EXPECT_EQ(windows[0].rows, 4);
  EXPECT_EQ(windows[1].length, 2);
  EXPECT_EQ(windows[1].rows, 2);
  const auto lone = cut("abcd#", 5);
  ASSERT_EQ(lone.size(), 1u) << "a lone special token gives no row";
  EXPECT_EQ(lone[0].rows, 4);
}

class Plan : public ::testing::Test {
 protected:
  Plan() {
    for (int i = 0; i < 40; ++i) {
      std::ofstream(folder_.file(std::to_string(i) + ".txt"))
          << std::string(size_t(1 + 37 * i % 100), char('a' + i % 26)) << (i % 3 == 0 ? "#x" : "");
    }
  }
  std::vector<TokenWindow> plan(int64_t max_tokens, int ranks) {
    const TextSource text({folder_.path()}, 0, 1);
    std::vector<TokenWindow> result;
    std::mutex mutex;
    run_ranks_as_threads(ranks, [&](Communicator& comm) {
      auto windows = plan_windows(text, test::byte_encoder(), 16, max_tokens, comm);
      const std::scoped_lock lock(mutex);
      if (!result.empty()) {
        EXPECT_EQ(windows.size(), result.size());
      }
      result = std::move(windows);
    });
    return result;
  }
  test::TempFolder folder_;
};

void expect_same(const std::vector<TokenWindow>& a, const std::vector<TokenWindow>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].document, b[i].document);
    EXPECT_EQ(a[i].begin, b[i].begin);
    EXPECT_EQ(a[i].length, b[i].length);
    EXPECT_EQ(a[i].rows, b[i].rows);
    EXPECT_EQ(a[i].first_row, b[i].first_row);
  }
}

TEST_F(Plan, IsTheSameForAnyRankCountAndStopsAtExactlyMaxTokens) {
  for (const int64_t max_tokens : {0, 1, 100, 777, 100000}) {
    const auto one = plan(max_tokens, 1);
    expect_same(plan(max_tokens, 2), one);
    expect_same(plan(max_tokens, 4), one);
    int64_t rows = 0;
    for (const auto& window : one) {
      EXPECT_EQ(window.first_row, rows);
      EXPECT_GT(window.rows, 0);
      rows += window.rows;
    }
    constexpr int64_t kAll = 2027;  // of this corpus, counted by hand from the rule
    if (max_tokens == 0 || max_tokens > kAll) {
      EXPECT_EQ(rows, kAll);
    } else {
      EXPECT_EQ(rows, max_tokens);
    }
  }
}

}  // namespace
}  // namespace crossloom::data
