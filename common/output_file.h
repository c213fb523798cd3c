// Writing a file so that a crash, a full disk or a second process never leaves half of it under
// its final name: written beside it, synced, renamed. `commit` is the only way to make it appear.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace crossloom {

class OutputFile {
 public:
  /// Opens `<path>.<process>.tmp`. Throws DataError when it cannot be created.
  explicit OutputFile(std::string path);
  /// Without commit(): removes the temporary file.
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// Appends. Throws DataError (naming the file and the system's reason, e.g. a full disk).
  void write(const void* data, size_t size_bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }

  /// Syncs, renames over `path`, syncs the folder. Throws DataError.
  void commit();

 private:
  [[noreturn]] void fail(const char* action) const;
  std::string path_;
  std::string temporary_;
  int file_ = -1;
};

/// Whole file at once.
void write_file(const std::string& path, std::string_view text);

/// fsync on a folder, so that renames in it survive a power cut. Throws DataError.
void sync_folder(const std::string& path);

/// Creates a folder and its parents. Throws DataError.
void make_folders(const std::string& path);

/// Throws DataError unless the file system of `path` (or its nearest existing parent) has
/// `need_bytes` free; `purpose` names what they are for.
void require_free_bytes(const std::string& path, double need_bytes, const std::string& purpose);

}  // namespace crossloom
