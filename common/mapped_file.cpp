#include "common/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/error.h"
#include "common/handle.h"

namespace crossloom {
namespace {

struct CloseFile {
  void operator()(int descriptor) const noexcept { ::close(descriptor); }
};

[[noreturn]] void fail_open(const std::string& path, const char* got) {
  throw DataError({.what = "A file cannot be read",
                   .expected = "a readable regular file",
                   .got = got,
                   .where = path,
                   .hint = "Check the path and its permissions."});
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const UniqueHandle<int, CloseFile, -1> file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    fail_open(path, std::strerror(errno));
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    fail_open(path, "not a regular file");
  }
  size_ = static_cast<size_t>(status.st_size);
  if (size_ == 0) {
    return;  // mmap refuses empty ranges
  }
  void* memory = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (memory == MAP_FAILED) {
    fail_open(path, std::strerror(errno));
  }
  data_ = static_cast<const std::byte*>(memory);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) {
    ::munmap(const_cast<std::byte*>(data_), size_);
  }
}

std::string read_text_file(const std::string& path, size_t limit_bytes) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  if (bytes.size() > limit_bytes) {
    throw DataError({.what = "A text file is too large",
                     .expected = fmt::format("at most {}", human_bytes(double(limit_bytes))),
                     .got = human_bytes(double(bytes.size())),
                     .where = path,
                     .hint = "Is this the right file?"});
  }
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace crossloom
