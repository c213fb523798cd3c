// One program at a time in an output folder: two trainings of the same run, or two sweeps on the
// same points, would overwrite each other. The kernel holds the lock (flock on `.lock`), so one
// that dies, however it dies, leaves none behind. File systems that know no locks give none.
#pragma once

#include <string>

namespace crossloom {

class FolderLock {
 public:
  /// Makes the folder if needed. Throws ConfigError naming it when another program holds it,
  /// DataError when it cannot be written.
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int file_ = -1;
};

}  // namespace crossloom
