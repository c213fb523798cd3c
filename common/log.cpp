#include "common/log.h"

#include <cstdio>

namespace crossloom::log {
namespace {
// Process facts, not state: written once by main before any thread starts.
int process_rank = 0;
int process_rank_count = 1;
}  // namespace

void set_speaker(int rank, int rank_count) {
  process_rank = rank;
  process_rank_count = rank_count;
}

bool is_speaker() {
  return process_rank == 0;
}

void line(const std::string& text) {
  if (is_speaker()) {
    std::fprintf(stderr, "%s\n", text.c_str());
    std::fflush(stderr);
  }
}

void warning(const std::string& text) {
  if (process_rank_count > 1) {
    std::fprintf(stderr, "warning (rank %d): %s\n", process_rank, text.c_str());
  } else {
    std::fprintf(stderr, "warning: %s\n", text.c_str());
  }
}

}  // namespace crossloom::log
