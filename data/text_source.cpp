#include "data/text_source.h"

#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string_view>

#include "common/error.h"
#include "common/mapped_file.h"
#include "common/options.h"
#include "common/rng.h"
#include "data/shard_format.h"

namespace crossloom::data {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_path(const std::string& what, const std::string& got,
                            const std::string& path) {
  throw ConfigError({.what = what,
                     .expected = "a text file, or a folder with .txt files",
                     .got = got,
                     .where = path,
                     .hint = "Check the path of the text."});
}

std::vector<std::string> files_of(const std::string& path) {
  std::error_code code;
  if (fs::is_regular_file(path, code)) {
    return {path};
  }
  if (!fs::is_directory(path, code)) {
    fail_path("There is no such text", code ? code.message() : "neither file nor folder", path);
  }
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file() && entry.path().extension() == ".txt") {
      files.push_back(entry.path().string());
    }
  }
  if (files.empty()) {
    fail_path("A text folder is empty", "no .txt file", path);
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

/// Where a piece that begins at `begin` ends: behind the last paragraph end within the limit (of
/// its second half), else behind the last line end, else before the last whole character.
size_t piece_end(std::string_view text, size_t begin, size_t limit) {
  if (text.size() - begin <= limit) {
    return text.size();
  }
  const std::string_view half = text.substr(begin + limit / 2, limit - limit / 2);
  for (const std::string_view mark : {std::string_view("\n\n"), std::string_view("\n")}) {
    const size_t found = half.rfind(mark);
    if (found != std::string_view::npos) {
      return begin + limit / 2 + found + mark.size();
    }
  }
  size_t end = begin + limit;
  while (end > begin + 1 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  return end;
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos;
}

}  // namespace

TextSource::TextSource(const std::vector<std::string>& paths, int64_t document_bytes,
                       uint64_t seed) {
  require_at_least("document_bytes", document_bytes, 0);
  if (paths.empty()) {
    fail_path("No text was given", "nothing", "text");
  }
  for (const auto& path : paths) {
    for (const auto& file : files_of(path)) {
      add_file(file, document_bytes);
    }
  }
  if (documents_.empty()) {
    throw DataError({.what = "There is no text in these files",
                     .expected = "at least one character that is not a blank",
                     .got = fmt::format("{} empty files", files_.size()),
                     .where = fmt::format("{}", fmt::join(paths, ", ")),
                     .hint = "Check the path of the text."});
  }
  mix(seed);
  hash_all();
}

void TextSource::add_file(const std::string& path, int64_t document_bytes) {
  const MappedFile file(path);
  const std::string_view text = text_of(file);
  const size_t limit = document_bytes == 0 ? text.size() : size_t(document_bytes);
  files_.push_back(path);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = piece_end(text, begin, limit);
    if (!is_blank(text.substr(begin, end - begin))) {
      documents_.push_back({files_.size() - 1, begin, end});
      total_bytes_ += int64_t(end - begin);
    }
    begin = end;
  }
}

void TextSource::mix(uint64_t seed) {
  const Rng rng(seed, Purpose::kDocumentOrder);
  std::vector<Piece> mixed;
  mixed.reserve(documents_.size());
  for (uint64_t i = 0; i < documents_.size(); ++i) {
    mixed.push_back(documents_[rng.permute(i, documents_.size())]);
  }
  documents_ = std::move(mixed);
}

void TextSource::hash_all() {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                       XXH3_freeState);
  XXH3_64bits_reset(state.get());
  for (int64_t i = 0; i < size(); ++i) {
    const std::string document = text(i);
    XXH3_64bits_update(state.get(), document.c_str(), document.size() + 1);  // with its zero
  }
  hash_ = hex(XXH3_64bits_digest(state.get()));
}

std::string TextSource::text(int64_t i) const {
  const Piece& piece = documents_.at(size_t(i));
  const MappedFile file(files_[piece.file]);
  const std::string_view text = text_of(file);
  if (piece.end > text.size()) {
    throw DataError({.what = "A text file became shorter while it was in use",
                     .expected = fmt::format("{} bytes", piece.end),
                     .got = fmt::format("{} bytes", text.size()),
                     .where = files_[piece.file],
                     .hint = "Start again when nothing writes to it."});
  }
  return std::string(text.substr(piece.begin, piece.end - piece.begin));
}

std::string TextSource::name(int64_t i) const {
  const Piece& piece = documents_.at(size_t(i));
  return fmt::format("{}, bytes {} … {}", files_[piece.file], piece.begin, piece.end);
}

}  // namespace crossloom::data
