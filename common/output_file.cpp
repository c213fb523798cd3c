#include "common/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "common/error.h"

namespace crossloom {

OutputFile::OutputFile(std::string path)
    : path_(std::move(path)), temporary_(fmt::format("{}.{}.tmp", path_, ::getpid())) {
  file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file_ < 0) {
    fail("create");
  }
}

OutputFile::~OutputFile() {
  if (file_ >= 0) {
    ::close(file_);
    ::unlink(temporary_.c_str());
  }
}

void OutputFile::fail(const char* action) const {
  throw DataError({.what = fmt::format("Cannot {} a file", action),
                   .expected = "a writable folder with enough free space",
                   .got = std::strerror(errno),
                   .where = path_,
                   .hint = "Free some space or choose another folder; nothing under the final "
                           "name was changed."});
}

void OutputFile::write(const void* data, size_t size_bytes) {
  const auto* bytes = static_cast<const char*>(data);
  while (size_bytes > 0) {
    const ssize_t written = ::write(file_, bytes, size_bytes);
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      fail("write");
    }
    bytes += written;
    size_bytes -= static_cast<size_t>(written);
  }
}

void OutputFile::commit() {
  if (::fsync(file_) != 0) {
    fail("sync");
  }
  if (::close(std::exchange(file_, -1)) != 0 ||
      std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int reason = errno;
    ::unlink(temporary_.c_str());
    errno = reason;
    fail("finish");
  }
  sync_folder(std::filesystem::path(path_).parent_path().string());
}

void write_file(const std::string& path, std::string_view text) {
  OutputFile file(path);
  file.write(text);
  file.commit();
}

void sync_folder(const std::string& path) {
  const std::string folder = path.empty() ? "." : path;
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
  const int reason = errno;
  if (descriptor >= 0) {
    ::close(descriptor);
  }
  if (!synced && reason != EINVAL) {  // some network file systems cannot sync folders
    throw DataError({.what = "Cannot sync a folder",
                     .expected = "a writable folder",
                     .got = std::strerror(reason),
                     .where = folder,
                     .hint = "Check the file system."});
  }
}

void make_folders(const std::string& path) {
  std::error_code code;
  std::filesystem::create_directories(path, code);
  if (code || !std::filesystem::is_directory(path)) {
    throw DataError({.what = "Cannot create a folder",
                     .expected = "a writable place",
                     .got = code ? code.message() : "something else has that name",
                     .where = path,
                     .hint = "Choose another folder."});
  }
}

void require_free_bytes(const std::string& path, double need_bytes, const std::string& purpose) {
  std::filesystem::path place = std::filesystem::absolute(path);
  while (!std::filesystem::exists(place) && place.has_parent_path()) {
    place = place.parent_path();
  }
  std::error_code code;
  const auto space = std::filesystem::space(place, code);
  if (!code && static_cast<double>(space.available) < need_bytes) {
    throw DataError({.what = fmt::format("Not enough free disk space for {}", purpose),
                     .expected = fmt::format("{} free", human_bytes(need_bytes)),
                     .got = fmt::format("{} free", human_bytes(double(space.available))),
                     .where = place.string(),
                     .hint = "Free some space, choose another folder, or use fewer tokens."});
  }
}

}  // namespace crossloom
