#include "data/text_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"

namespace crossloom::data {
namespace {

using test::expect_error;

void write_text(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

std::vector<std::string> all_texts(const TextSource& source) {
  std::vector<std::string> texts;
  for (int64_t i = 0; i < source.size(); ++i) {
    texts.push_back(source.text(i));
  }
  return texts;
}

std::string joined(std::vector<std::string> texts) {
  std::string all;
  for (const auto& text : texts) {
    all += text;
  }
  return all;
}

TEST(TextSource, FoldersAndFilesAreMixed) {
  const test::TempFolder folder;
  std::vector<std::string> expected;
  for (int i = 0; i < 30; ++i) {
    expected.push_back("document " + std::to_string(i));
    write_text(folder.file(i < 15 ? "a/" : "b/sub/") + std::to_string(i) + ".txt", expected.back());
  }
  write_text(folder.file("a/notes.md"), "not a document");
  write_text(folder.file("single"), "a file of any name");
  expected.push_back("a file of any name");
  const std::vector<std::string> paths = {folder.file("a"), folder.file("b"),
                                          folder.file("single")};
  const TextSource source(paths, 0, 1);
  auto found = all_texts(source);
  EXPECT_EQ(found, all_texts(TextSource(paths, 0, 1))) << "deterministic";
  EXPECT_NE(found, all_texts(TextSource(paths, 0, 2))) << "seeded";
  EXPECT_EQ(source.hash(), TextSource(paths, 0, 1).hash());
  EXPECT_NE(source.hash(), TextSource(paths, 0, 2).hash());
  const auto first_of_b = std::find_if(found.begin(), found.begin() + 15, [](const auto& text) {
    return text.size() == 11 && text >= "document 15";
  });
  EXPECT_NE(first_of_b, found.begin() + 15) << "the second folder appears in the first half";
  std::sort(found.begin(), found.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(found, expected);
}

TEST(TextSource, LongFilesAreCutAtParagraphs) {
  const test::TempFolder folder;
  std::string text;
  for (int i = 0; i < 200; ++i) {
    text += "Paragraph " + std::to_string(i) + std::string(size_t(i % 50), 'x') + ".\n\n";
  }
  write_text(folder.file("book.txt"), text);
  const TextSource source({folder.path()}, 500, 0);
  EXPECT_GT(source.size(), 5);
  EXPECT_EQ(source.total_bytes(), int64_t(text.size())) << "nothing is lost";
  for (int64_t i = 0; i < source.size(); ++i) {
    const std::string piece = source.text(i);
    EXPECT_LE(piece.size(), 500u);
    EXPECT_TRUE(piece.starts_with("Paragraph ")) << source.name(i);
    EXPECT_TRUE(piece.ends_with(".\n\n"));
  }
  EXPECT_EQ(TextSource({folder.path()}, 0, 0).size(), 1);
}

TEST(TextSource, CharactersAreNeverCut) {
  const test::TempFolder folder;
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text += "日é𝄞";  // 3, 2 and 4 bytes, no line end anywhere
  }
  write_text(folder.file("long.txt"), text);
  const TextSource source({folder.path()}, 64, 0);
  for (const auto& piece : all_texts(source)) {
    EXPECT_NE(static_cast<unsigned char>(piece[0]) & 0xC0U, 0x80U);
    EXPECT_LE(piece.size(), 64u);
  }
  EXPECT_EQ(joined(all_texts(source)).size(), text.size());
}

TEST(TextSource, BadPathsAndEmptyTexts) {
  const test::TempFolder folder;
  expect_error<ConfigError>([&] { TextSource({folder.file("none")}, 0, 0); },
                            {"no such text", folder.file("none")});
  expect_error<ConfigError>([&] { TextSource({folder.path()}, 0, 0); }, {"no .txt file"});
  expect_error<ConfigError>([&] { TextSource({}, 0, 0); }, {"No text was given"});
  write_text(folder.file("blank.txt"), " \n\t\n");
  write_text(folder.file("empty.txt"), "");
  expect_error<DataError>([&] { TextSource({folder.path()}, 0, 0); }, {"no text", "2 empty files"});
  write_text(folder.file("full.txt"), "text");
  EXPECT_EQ(TextSource({folder.path()}, 0, 0).size(), 1);
}

}  // namespace
}  // namespace crossloom::data
