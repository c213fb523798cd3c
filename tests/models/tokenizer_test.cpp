// What the golden cases do not show: the interface, limits, and time on hostile text.
#include "models/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "common/json_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/files.h"
#include "tests/support/temp_folder.h"

namespace crossloom::models {
namespace {

using ::testing::ElementsAre;

const std::string kDigits = CROSSLOOM_TEST_FOLDER "/golden/tokenizer/small_digits.json";
const std::string kSplit = CROSSLOOM_TEST_FOLDER "/golden/tokenizer/small_split.json";

TEST(Tokenizer, LoadsAFolderOrAFile) {
  const test::TempFolder folder;
  test::put_file(folder.file("tokenizer.json"), test::bytes_of_file(kDigits));
  const Tokenizer from_folder = Tokenizer::load(folder.path());
  const Tokenizer from_file = Tokenizer::load(kDigits);
  EXPECT_EQ(from_folder.encode("Four score"), from_file.encode("Four score"));
  EXPECT_EQ(from_folder.hash(), from_file.hash());
  EXPECT_ERROR(DataError, "absent", Tokenizer::load(folder.file("absent")));
}

TEST(Tokenizer, RefusesHugeFilesBeforeReadingThem) {
  const test::TempFolder folder;
  const std::string path = folder.file("tokenizer.json");
  test::put_file(path, "{");
  std::filesystem::resize_file(path, 65'000'000);  // sparse
  EXPECT_ERROR(DataError, "too large", Tokenizer::load(path));
}

TEST(Tokenizer, HashIsOfTheFilesBytes) {
  const std::string text = test::bytes_of_file(kDigits);
  const std::string hash = Tokenizer(text, "a").hash();
  EXPECT_EQ(hash.size(), 16U);
  EXPECT_EQ(hash.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(Tokenizer(text, "b").hash(), hash);
  EXPECT_NE(Tokenizer(text + "\n", "a").hash(), hash);
}

TEST(Tokenizer, SpecialTokensAndIds) {
  const Tokenizer tokenizer = Tokenizer::load(kDigits);
  EXPECT_EQ(tokenizer.id_of("<|endoftext|>"), 0);
  EXPECT_TRUE(tokenizer.is_special(0));  // id 0 counts like any other
  EXPECT_TRUE(tokenizer.is_special(2));
  EXPECT_FALSE(tokenizer.is_special(3));
  EXPECT_FALSE(tokenizer.is_special(-1));
  EXPECT_EQ(tokenizer.id_of("no such token"), -1);
  const TokenId the = tokenizer.id_of("Ġthe");
  ASSERT_GE(the, 0);
  EXPECT_EQ(tokenizer.token_bytes(the), " the");
  EXPECT_EQ(tokenizer.encode(" the"), std::vector<TokenId>{the});
  EXPECT_FALSE(Tokenizer::load(kSplit).is_special(Tokenizer::load(kSplit).id_of("word")));
}

TEST(Tokenizer, VocabularySizeIsTheLargestIdPlusOne) {
  const Tokenizer tokenizer = Tokenizer::load(kSplit);
  const auto size = static_cast<TokenId>(tokenizer.vocabulary_size());
  EXPECT_NE(tokenizer.token_bytes(size - 1), "");
  EXPECT_EQ(tokenizer.token_bytes(size), "");
  EXPECT_EQ(tokenizer.decode({-1, size, 2'000'000'000}), "");
}

TEST(Tokenizer, TokenBytesMayBePartOfACharacter) {
  const Tokenizer tokenizer = Tokenizer::load(kSplit);
  const std::string smile = "😀";
  const auto ids = tokenizer.encode(smile);
  ASSERT_GT(ids.size(), 1U);
  std::string streamed;
  for (const TokenId id : ids) {
    streamed += tokenizer.token_bytes(id);
  }
  EXPECT_EQ(streamed, smile);
  EXPECT_EQ(tokenizer.decode({ids[0]}), "\uFFFD");
}

TEST(Tokenizer, BytesWithoutATokenAreDropped) {
  const Tokenizer tokenizer = Tokenizer::load(kDigits);
  EXPECT_TRUE(tokenizer.encode(std::string_view("\0\x01", 2)).empty());
  EXPECT_EQ(tokenizer.encode(std::string_view("the\0re", 6)),
            tokenizer.encode(std::string_view("the\0re\0", 7)));
}

TEST(Tokenizer, EmptyText) {
  const Tokenizer tokenizer = Tokenizer::load(kDigits);
  EXPECT_TRUE(tokenizer.encode("").empty());
  EXPECT_TRUE(tokenizer.encode(std::string_view{}).empty());
  EXPECT_EQ(tokenizer.decode({}), "");
}

TEST(Tokenizer, RepeatedPiecesAreEncodedAlike) {
  const Tokenizer tokenizer = Tokenizer::load(kSplit);
  const auto once = tokenizer.encode(" continent");
  std::string many;
  std::vector<TokenId> expected;
  for (int i = 0; i < 100; ++i) {
    many += " continent";
    expected.insert(expected.end(), once.begin(), once.end());
  }
  EXPECT_EQ(tokenizer.encode(many), expected);
}

TEST(Tokenizer, MovesLeaveAWorkingTokenizer) {
  Tokenizer first = Tokenizer::load(kSplit);
  const auto ids = first.encode("<mask> words");
  const Tokenizer second = std::move(first);
  EXPECT_EQ(second.encode("<mask> words"), ids);
}

TEST(WithBos, PutsOneInFrontUnlessASpecialTokenIsThere) {
  const Tokenizer tokenizer = Tokenizer::load(kDigits);
  EXPECT_THAT(with_bos({5, 6}, tokenizer, 1), ElementsAre(1, 5, 6));
  EXPECT_THAT(with_bos({1, 5}, tokenizer, 1), ElementsAre(1, 5));
  EXPECT_THAT(with_bos({0, 5}, tokenizer, 1), ElementsAre(0, 5));  // id 0 is special here
  EXPECT_THAT(with_bos({5}, tokenizer, 0), ElementsAre(0, 5));
  EXPECT_THAT(with_bos({}, tokenizer, 1), ElementsAre(1));
  EXPECT_THAT(with_bos({5}, tokenizer, -1), ElementsAre(5));  // the model declares none
  EXPECT_EQ(with_bos(tokenizer.encode("<|im_start|>user"), tokenizer, 1),
            tokenizer.encode("<|im_start|>user"));
}

/// A megabyte of one kind: quadratic work would take minutes.
TEST(Tokenizer, HostileTextTakesLinearTime) {
  constexpr size_t kSize_bytes = 1'000'000;
  constexpr double kLimit_s = 60.0;  // measured 0.1 to 2 s; sanitizers and busy machines cost 10×
  std::string letters;
  uint32_t state = 1;
  for (size_t i = 0; i < kSize_bytes; ++i) {
    state = state * 1664525U + 1013904223U;
    letters += char('a' + (state >> 24) % 26);
  }
  std::string brackets;
  while (brackets.size() < kSize_bytes) {
    brackets += "<|begin";
  }
  for (const std::string& path : {kDigits, kSplit}) {
    const Tokenizer tokenizer = Tokenizer::load(path);
    for (const std::string& text : {std::string(kSize_bytes, 'a'), std::string(kSize_bytes, ' '),
                                    std::string(kSize_bytes, '\n'), std::string(kSize_bytes, '<'),
                                    std::string(kSize_bytes, '\xFF'), letters, brackets}) {
      const auto start = std::chrono::steady_clock::now();
      EXPECT_FALSE(tokenizer.encode(text).empty());
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      EXPECT_LT(taken.count(), kLimit_s) << path << ", text of " << text.substr(0, 10);
    }
  }
}

TEST(Tokenizer, APatternThatExplodesGivesUp) {
  Json frame = Json::parse(test::bytes_of_file(kSplit));
  frame["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"Regex", "(a|a|aa)+b"}};
  const Tokenizer tokenizer(frame.dump(), "exploding.json");
  EXPECT_ERROR(DataError, "gave up on a text", tokenizer.encode(std::string(2000, 'a') + "cb"));
}

}  // namespace
}  // namespace crossloom::models
