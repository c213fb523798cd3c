// Token ids and decoded text equal the `tokenizers` library's on every committed case
// (tests/golden/make_tokenizer_golden.py says how they were made).
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/format.h"
#include "common/json_file.h"
#include "common/utf8.h"
#include "models/tokenizer.h"

namespace crossloom::models {
namespace {

const std::string kGolden = CROSSLOOM_TEST_FOLDER "/golden/tokenizer/";

std::string bytes_from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

/// The text of a case: "t" is text, "b" bytes in hexadecimal.
std::string text_of(const Json& row) {
  return row.contains("t") ? row["t"].get<std::string>()
                           : bytes_from_hex(row["b"].get<std::string>());
}

void expect_case(const Tokenizer& tokenizer, const Json& row) {
  const std::string text = text_of(row);
  const auto expected = row["i"].get<std::vector<TokenId>>();
  const auto ids = tokenizer.encode(text);
  EXPECT_EQ(ids, expected) << "encoding " << row.dump();
  const std::string decoded = row.contains("d") ? row["d"].get<std::string>() : text;
  EXPECT_EQ(tokenizer.decode(expected), decoded) << "decoding " << row.dump();
}

class GoldenFile : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenFile, EqualsTheLibrary) {
  std::ifstream file(kGolden + GetParam());
  std::string line;
  ASSERT_TRUE(std::getline(file, line));
  const auto name = Json::parse(line)["tokenizer"].get<std::string>();
  std::string path = kGolden + name;
  if (name == "smollm2-135m-instruct") {
    const char* folder = std::getenv("CROSSLOOM_MODEL_FOLDER");
    path = folder != nullptr ? folder : CROSSLOOM_TEST_FOLDER "/../.deps/model/" + name;
    if (!std::filesystem::exists(path)) {
      GTEST_SKIP() << "no model at " << path << "; launch/setup.sh puts it there";
    }
  }
  const Tokenizer tokenizer = Tokenizer::load(path);
  int64_t cases = 0;
  while (std::getline(file, line) && !HasFatalFailure()) {
    expect_case(tokenizer, Json::parse(line));
    ++cases;
  }
  EXPECT_GE(cases, name == "smollm2-135m-instruct" ? 5000 : 1000);
}

INSTANTIATE_TEST_SUITE_P(Tokenizer, GoldenFile,
                         ::testing::Values("small_digits.jsonl", "small_split.jsonl",
                                           "smollm2.jsonl"),
                         [](const auto& suite) {
                           const std::string name = suite.param;
                           return name.substr(0, name.find('.'));
                         });

TEST(TokenizerGolden, OtherPreTokenizersEqualTheLibrary) {
  Json frame = read_json_file(kGolden + "small_split.json", 1 << 20);
  const Json variants = read_json_file(kGolden + "variants.json", 1 << 20);
  EXPECT_GE(variants.size(), 20U);
  for (const Json& variant : variants) {
    frame["pre_tokenizer"] = variant["pre_tokenizer"];
    SCOPED_TRACE(variant["pre_tokenizer"].dump());
    const Tokenizer tokenizer(frame.dump(), "variant");
    for (const Json& row : variant["cases"]) {
      expect_case(tokenizer, row);
    }
  }
}

/// FNV-1a over the ids as 32-bit words, -1 after each text (as in make_tokenizer_golden.py).
class IdHash {
 public:
  void add(const std::vector<TokenId>& ids) {
    for (const TokenId id : ids) {
      add_word(static_cast<uint32_t>(id));
    }
    add_word(0xFFFFFFFF);
  }
  std::string text() const { return fmt::format("{:016x}", value_); }

 private:
  void add_word(uint32_t word) { value_ = (value_ ^ word) * 0x100000001B3ULL; }
  uint64_t value_ = 0xCBF29CE484222325ULL;
};

constexpr char32_t kBlock = 0x1000;

/// Planes 4–13, 15 and 16 hold no assigned or only private characters, all alike: a sample does.
bool is_tested(char32_t first) {
  const char32_t plane = first >> 16;
  return plane <= 3 || plane == 14 || (first & 0xFFFF) == 0xF000;
}

TEST(TokenizerGolden, EveryCodePointEqualsTheLibrary) {
  const Json table = read_json_file(kGolden + "code_points.json", 1 << 20);
  ASSERT_EQ(table.size(), 2U);
  for (const auto& [name, blocks] : table.items()) {
    const Tokenizer tokenizer = Tokenizer::load(kGolden + name);
    ASSERT_EQ(blocks.size(), 0x110000U / kBlock);
    for (char32_t first = 0; first < 0x110000; first += kBlock) {
      if (!is_tested(first)) {
        continue;
      }
      IdHash hash;
      for (char32_t c = first; c < first + kBlock; ++c) {
        if (c >= 0xD800 && c < 0xE000) {
          continue;
        }
        std::string one;
        append_utf8(one, c);
        hash.add(tokenizer.encode(fmt::format("a{0} {0}{0}1{0}'s", one)));
      }
      EXPECT_EQ(hash.text(), blocks[first / kBlock].get<std::string>())
          << name << fmt::format(", block U+{:04X}", uint32_t{first});
    }
  }
}

}  // namespace
}  // namespace crossloom::models
