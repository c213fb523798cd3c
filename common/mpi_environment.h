// MPI's lifetime: initialised first in main, finalised last. Errors return codes instead of
// killing the process, so that our checker can say what happened.
#pragma once

#include <string>

namespace crossloom {

class MpiEnvironment {
 public:
  /// Starts MPI only under mpirun (or srun); alone, the program runs without it.
  MpiEnvironment(int* argc, char*** argv);
  ~MpiEnvironment();
  MpiEnvironment(const MpiEnvironment&) = delete;
  MpiEnvironment& operator=(const MpiEnvironment&) = delete;

  bool active() const { return active_; }
  int rank() const { return rank_; }
  int size() const { return size_; }

  /// Ends every rank with `code`. Does not return under MPI; alone it does nothing.
  void abort(int code) const;

 private:
  bool active_ = false;
  int rank_ = 0;
  int size_ = 1;
};

/// Throws DistError with MPI's own text unless `code` is MPI_SUCCESS.
void check_mpi(int code, const char* call);

}  // namespace crossloom

#define CROSSLOOM_MPI(call) ::crossloom::check_mpi((call), #call)
