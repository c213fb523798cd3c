#include "common/mpi_environment.h"

#include <mpi.h>

#include <cstdlib>

#include "common/error.h"

namespace crossloom {
namespace {

bool launched_as_a_job() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"}) {
    if (std::getenv(name) != nullptr) {
      return true;
    }
  }
  return false;
}

}  // namespace

MpiEnvironment::MpiEnvironment(int* argc, char*** argv) {
  if (!launched_as_a_job()) {
    return;
  }
  int provided = 0;
  CROSSLOOM_MPI(MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &provided));
  active_ = true;
  CROSSLOOM_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  CROSSLOOM_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &rank_));
  CROSSLOOM_MPI(MPI_Comm_size(MPI_COMM_WORLD, &size_));
  if (provided < MPI_THREAD_SERIALIZED) {
    throw DistError({.what = "This MPI gives too little thread support",
                     .expected = "MPI_THREAD_SERIALIZED",
                     .got = fmt::format("level {}", provided),
                     .where = "MPI_Init_thread",
                     .hint = "Use an MPI built with thread support."});
  }
}

MpiEnvironment::~MpiEnvironment() {
  int finalized = 0;
  if (active_ && MPI_Finalized(&finalized) == MPI_SUCCESS && finalized == 0) {
    MPI_Finalize();
  }
}

void MpiEnvironment::abort(int code) const {
  if (active_ && size_ > 1) {
    MPI_Abort(MPI_COMM_WORLD, code);
  }
}

void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) {
    return;
  }
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw DistError({.what = "An MPI call failed",
                   .expected = "MPI_SUCCESS",
                   .got = std::string(text, size_t(length)),
                   .where = call,
                   .hint = "Check that all nodes are up and that memory is not exhausted."});
}

}  // namespace crossloom
