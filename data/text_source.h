// Text as documents. A file is cut into documents of at most `document_bytes` at paragraph ends, so
// that one long book still gives many documents to mix and to hold out; 0 keeps files whole.
//
// Order: paths as given; inside a folder every .txt file (subfolders too) by relative path; pieces
// of a file in their order. Then all documents are mixed: document i of the result is document
// permute(seed; i, M) of that list. A function of the texts and the seed alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace crossloom::data {

class TextSource {
 public:
  /// Throws ConfigError when a path is missing or a folder holds no .txt file, DataError when
  /// there is no text at all. Reads every file once.
  TextSource(const std::vector<std::string>& paths, int64_t document_bytes, uint64_t seed);

  /// M, the number of documents.
  int64_t size() const { return int64_t(documents_.size()); }
  /// The i-th document in mixed order; `i` is the id stored with its rows. Throws DataError.
  std::string text(int64_t i) const;
  /// "speeches/1801.txt, bytes 0 … 16214", for messages.
  std::string name(int64_t i) const;
  int64_t total_bytes() const { return total_bytes_; }
  /// xxh3-64 of all documents in mixed order, as 16 hex digits: the identity of the corpus.
  const std::string& hash() const { return hash_; }

 private:
  struct Piece {
    size_t file, begin, end;
  };
  void add_file(const std::string& path, int64_t document_bytes);
  void mix(uint64_t seed);
  void hash_all();

  std::vector<std::string> files_;
  std::vector<Piece> documents_;
  int64_t total_bytes_ = 0;
  std::string hash_;
};

}  // namespace crossloom::data
