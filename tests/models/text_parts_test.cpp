// The tokenizer's parts, each against its slow obvious version or a list of known answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "models/added_tokens.h"
#include "models/bpe.h"
#include "models/byte_level.h"
#include "models/pre_tokenizer.h"
#include "models/regex_dialect.h"
#include "tests/support/expect_error.h"

namespace crossloom::models {
namespace {

using ::testing::ElementsAre;

TEST(ByteLevel, AlphabetIsABijection) {
  std::set<char32_t> symbols;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char32_t symbol = symbol_of_byte(static_cast<uint8_t>(byte));
    symbols.insert(symbol);
    EXPECT_EQ(byte_of_symbol(symbol), byte);
  }
  EXPECT_EQ(symbols.size(), 256U);
  EXPECT_EQ(symbol_of_byte(' '), U'Ġ');
  EXPECT_EQ(symbol_of_byte('\n'), U'Ċ');
  EXPECT_EQ(symbol_of_byte('a'), U'a');
  EXPECT_EQ(symbol_of_byte(0xAD), U'Ń');
  EXPECT_EQ(byte_of_symbol(U' '), std::nullopt);
  EXPECT_EQ(byte_of_symbol(U'中'), std::nullopt);
}

TEST(ByteLevel, TokensWithOtherCharactersStandForThemselves) {
  EXPECT_EQ(to_symbols(" é\n"), "ĠÃ©Ċ");
  EXPECT_EQ(from_symbols("ĠÃ©Ċ"), " é\n");
  EXPECT_EQ(from_symbols("two words"), "two words");
  EXPECT_EQ(from_symbols("é"), "\xE9");  // a symbol, so a byte
}

std::string translated(const std::string& pattern) {
  return translate_pattern(pattern, "test");
}

TEST(RegexDialect, TranslatesWhatDiffers) {
  EXPECT_EQ(translated(R"(a\s+\S)"), R"(a\p{White_Space}+\P{White_Space})");
  EXPECT_EQ(translated(R"([^\s])"), R"([^\p{White_Space}])");
  EXPECT_EQ(translated(R"(\u00e9\x41\x{1F600})"), R"(\x{00e9}\x{41}\x{1F600})");
  EXPECT_EQ(translated(R"(\p{Z})"), R"([\p{Z}])");
  EXPECT_EQ(translated(R"(\P{Z})"), R"([^\p{Z}])");
  EXPECT_THAT(translated(R"(\p{N}{1,3})"), ::testing::StartsWith(R"([\p{N}\x{10D40})"));
}

TEST(RegexDialect, LeavesTheRestAlone) {
  for (const char* pattern :
       {R"(a|b)", R"((?i:'s|'t))", R"((?=a)(?!b)(?<=c)(?<!d)(?>e)(f))", R"(a*?b+?c??d*+)",
        R"([a-z\-\]^-])", R"([^\r\n\t\f])", R"(\.\*\\\/\')", "^中.é$", "a{2}b{2,}c{2,3}", "}]"}) {
    EXPECT_EQ(translated(pattern), pattern);
  }
}

TEST(RegexDialect, RefusesByName) {
  const std::pair<const char*, const char*> cases[] = {
      {R"(\w)", R"(\w)"},
      {R"(\h)", R"(\h)"},
      {R"(\xE9)", R"(\x)"},
      {R"((?m)a)", "(?m"},
      {R"((?i)a)", "(?i"},
      {R"((?<n>a))", "(?<"},
      {"a{2}?", "followed by '?'"},
      {"a{2}+", "followed by '+'"},
      {"a{,3}", "not a repeat"},
      {"[a&&b]", "inside a class"},
      {"[]a]", "']' as the first"},
      {R"([\s-a])", "begins with a set"},
      {R"([a-\s])", "ends with a set"},
      {R"([\P{L}])", "negated set"},
      {R"(\p{Greek})", "Greek"},
      {R"(\pL)", "without braces"},
      {R"((?i:\p{L}))", "inside (?i"},
      {"\\", R"(\)"},
  };
  for (const auto& row : cases) {
    SCOPED_TRACE(row.first);
    EXPECT_ERROR(DataError, row.second, translated(row.first));
  }
}

std::vector<std::string> joined(const char* behavior_text, SplitBehavior behavior) {
  // "the-final--countdown" split at '-', as the reference's documentation shows it.
  const std::string text = behavior_text;
  std::vector<Stretch> stretches;
  for (size_t begin = 0; begin < text.size();) {
    const bool dash = text[begin] == '-';
    const size_t end = dash ? begin + 1 : std::min(text.find('-', begin), text.size());
    stretches.push_back({{begin, end}, dash});
    begin = end;
  }
  std::vector<std::string> pieces;
  for (const Span span : join_stretches(stretches, behavior)) {
    pieces.push_back(text.substr(span.begin, span.end - span.begin));
  }
  return pieces;
}

TEST(PreTokenizer, SplitBehaviors) {
  const char* text = "the-final--countdown";
  EXPECT_THAT(joined(text, SplitBehavior::kRemoved), ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(joined(text, SplitBehavior::kIsolated),
              ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(joined(text, SplitBehavior::kMergedWithPrevious),
              ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(joined(text, SplitBehavior::kMergedWithNext),
              ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(joined(text, SplitBehavior::kContiguous),
              ElementsAre("the", "-", "final", "--", "countdown"));
}

/// Merges the best pair again and again over the whole word: quadratic, and plainly the definition.
std::vector<TokenId> slow_bpe(const std::vector<std::pair<TokenId, TokenId>>& merges,
                              std::vector<TokenId> word, TokenId first_merged) {
  for (;;) {
    size_t best_rank = merges.size();
    size_t best_at = 0;
    for (size_t i = 0; i + 1 < word.size(); ++i) {
      for (size_t rank = 0; rank < best_rank; ++rank) {
        if (merges[rank] == std::pair(word[i], word[i + 1])) {
          best_rank = rank;
          best_at = i;
        }
      }
    }
    if (best_rank == merges.size()) {
      return word;
    }
    word[best_at] = first_merged + static_cast<TokenId>(best_rank);
    word.erase(word.begin() + static_cast<int64_t>(best_at) + 1);
  }
}

TEST(Bpe, EqualsTheSlowDefinition) {
  uint32_t state = 3;
  const auto draw = [&state](uint32_t n) {
    state = state * 1664525U + 1013904223U;
    return (state >> 16) % n;
  };
  for (int attempt = 0; attempt < 50; ++attempt) {
    std::vector<std::string> tokens = {"a", "b", "c"};
    std::vector<std::pair<TokenId, TokenId>> merges;
    Json model = {{"type", "BPE"}, {"merges", Json::array()}};
    while (merges.size() < 20) {
      const auto left = TokenId(draw(uint32_t(tokens.size())));
      const auto right = TokenId(draw(uint32_t(tokens.size())));
      const std::string both = tokens[size_t(left)] + tokens[size_t(right)];
      if (std::find(tokens.begin(), tokens.end(), both) == tokens.end()) {
        merges.emplace_back(left, right);
        model["merges"].push_back({tokens[size_t(left)], tokens[size_t(right)]});
        tokens.push_back(both);
      }
    }
    for (size_t id = 0; id < tokens.size(); ++id) {
      model["vocab"][tokens[id]] = id;
    }
    const Bpe bpe(model, "test");
    Bpe::Scratch scratch;
    for (int word = 0; word < 20; ++word) {
      std::string text;
      std::vector<TokenId> letters;
      for (uint32_t i = draw(30) + 1; i > 0; --i) {
        letters.push_back(TokenId(draw(3)));
        text += char('a' + letters.back());
      }
      std::vector<TokenId> ids;
      bpe.encode(text, ids, scratch);
      EXPECT_EQ(ids, slow_bpe(merges, letters, 3)) << text;
    }
  }
}

AddedToken token(const char* content, TokenId id) {
  AddedToken made;
  made.content = content;
  made.id = id;
  return made;
}

std::vector<std::string> cuts_of(const AddedTokens& added, std::string_view text) {
  std::vector<std::string> shown;
  for (const auto& cut : added.cut(text)) {
    shown.push_back(cut.id < 0 ? std::string(cut.text) : fmt::format("{}[{}]", cut.id, cut.text));
  }
  return shown;
}

TEST(AddedTokens, LeftmostThenLongest) {
  const AddedTokens added({token("<a>", 0), token("<a", 1), token("a><b", 2), token("<a><b>", 3)});
  EXPECT_THAT(cuts_of(added, "x<a>y"), ElementsAre("x", "0[<a>]", "y"));
  EXPECT_THAT(cuts_of(added, "<a<a><b"), ElementsAre("1[<a]", "0[<a>]", "<b"));
  EXPECT_THAT(cuts_of(added, "<a><b>"), ElementsAre("3[<a><b>]"));
  EXPECT_THAT(cuts_of(added, "a><b"), ElementsAre("2[a><b]"));
  EXPECT_TRUE(cuts_of(added, "").empty());
}

TEST(AddedTokens, FlagsStripAndSeparate) {
  AddedToken left = token("<l>", 0);
  left.lstrip = true;
  AddedToken right = token("<r>", 1);
  right.rstrip = true;
  AddedToken word = token("ab", 2);
  word.single_word = true;
  AddedToken space = token(" ", 3);
  space.lstrip = true;
  const AddedTokens added({left, right, word, space});
  EXPECT_THAT(cuts_of(added, "x\u3000\n<l> y"), ElementsAre("x", "0[\u3000\n<l>]", "3[ ]", "y"));
  EXPECT_THAT(cuts_of(added, "<r>\u00A0\ty"), ElementsAre("1[<r>\u00A0\t]", "y"));
  EXPECT_THAT(cuts_of(added, "ab,ab"), ElementsAre("2[ab]", ",", "2[ab]"));
  EXPECT_THAT(cuts_of(added, "xab"), ElementsAre("xab"));
  EXPECT_THAT(cuts_of(added, "abé"), ElementsAre("abé"));
  EXPECT_THAT(cuts_of(added, "ab_"), ElementsAre("ab_"));
  // White space that <r> has swallowed is not swallowed again.
  EXPECT_THAT(cuts_of(added, "<r>\n<l>"), ElementsAre("1[<r>\n]", "0[<l>]"));
}

TEST(AddedTokens, NormalizedOnesComeSecond) {
  AddedToken late = token("abc", 0);
  late.normalized = true;
  const AddedTokens added({late, token("bc", 1)});
  EXPECT_THAT(cuts_of(added, "abc"), ElementsAre("a", "1[bc]"));
}

}  // namespace
}  // namespace crossloom::models
