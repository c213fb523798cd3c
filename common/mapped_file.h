// A whole file as read-only memory (mmap). Pages are read when touched; nothing is copied.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace crossloom {

class MappedFile {
 public:
  /// Throws DataError when the file is missing, unreadable, or not a regular file.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// The whole file as text; refuses more than `limit_bytes`. Throws DataError.
std::string read_text_file(const std::string& path, size_t limit_bytes);

}  // namespace crossloom
