// Runs the real program (or any shell command) and keeps what it said.
#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

#include "common/error.h"

namespace crossloom::test {

struct ProgramResult {
  int exit_code = -1;
  std::string output;  // stdout and stderr together
};

inline ProgramResult run_shell(const std::string& command) {
  ProgramResult result;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  CROSSLOOM_CHECK(pipe != nullptr, "cannot run {}", command);
  std::array<char, 4096> buffer{};
  while (const size_t count = fread(buffer.data(), 1, buffer.size(), pipe)) {
    result.output.append(buffer.data(), count);
  }
  const int status = pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

/// The program alone.
inline ProgramResult crossloom(const std::string& arguments) {
  return run_shell(fmt::format("{} {}", CROSSLOOM_PROGRAM, arguments));
}

/// The program on `ranks` MPI ranks.
inline ProgramResult crossloom_ranks(int ranks, const std::string& arguments) {
  return run_shell(fmt::format(
      "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1 "
      "OMP_NUM_THREADS=1 {} -n {} --oversubscribe --bind-to none {} {}",
      CROSSLOOM_MPIEXEC, ranks, CROSSLOOM_PROGRAM, arguments));
}

}  // namespace crossloom::test
