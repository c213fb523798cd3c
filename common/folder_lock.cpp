#include "common/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "common/error.h"
#include "common/output_file.h"

namespace crossloom {

FolderLock::FolderLock(const std::string& folder) {
  make_folders(folder);
  const std::string path = (std::filesystem::path(folder) / ".lock").string();
  file_ = open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (file_ < 0) {
    throw DataError({.what = "Cannot write in the output folder",
                     .expected = "a folder that this user may write in",
                     .got = std::strerror(errno),
                     .where = path,
                     .hint = "Choose another --output, or change its permissions."});
  }
  if (flock(file_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(file_);
    throw ConfigError({.what = "Another program works in this output folder",
                       .expected = "one training or sweep per folder",
                       .got = "",
                       .where = folder,
                       .hint = "Wait for it, stop it, or choose another --output."});
  }
}

FolderLock::~FolderLock() {
  close(file_);  // and with it the lock
}

}  // namespace crossloom
