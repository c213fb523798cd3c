// What tests under mpirun share: their communicator and one temporary folder for all ranks.
#pragma once

#include <mpi.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>

#include "common/communicator.h"
#include "tests/support/temp_folder.h"

namespace crossloom::test {

/// One folder for all ranks: rank 0's.
class SharedFolder {
 public:
  explicit SharedFolder(Communicator& comm) : comm_(comm) {
    std::array<char, 256> name{};
    if (comm.rank() == 0) {
      mine_ = std::make_unique<TempFolder>();
      std::strncpy(name.data(), mine_->path().c_str(), name.size() - 1);
    }
    comm.broadcast(name.data(), int64_t(name.size()), 0);
    path_ = name.data();
  }
  ~SharedFolder() { comm_.barrier(); }  // before rank 0 removes it
  const std::string& path() const { return path_; }

 private:
  Communicator& comm_;
  std::unique_ptr<TempFolder> mine_;
  std::string path_;
};

/// MPI under mpirun, else a world of one.
inline std::unique_ptr<Communicator> world() {
  int started = 0;
  MPI_Initialized(&started);
  return started != 0 ? make_mpi_communicator() : make_single_communicator();
}

}  // namespace crossloom::test
