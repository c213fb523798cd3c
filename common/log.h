// What the program says while it works. Only the speaking rank prints; warnings and errors carry
// the rank. Everything goes to stderr, so that stdout holds results only.
#pragma once

#include <string>

#include "common/format.h"

namespace crossloom::log {

/// Set once, right after MPI starts: whether this process prints information lines.
void set_speaker(int rank, int rank_count);
bool is_speaker();

void line(const std::string& text);     // speaking rank only
void warning(const std::string& text);  // any rank

template <typename... Args>
void info(::fmt::format_string<Args...> pattern, Args&&... args) {
  if (is_speaker()) {
    line(::fmt::format(pattern, std::forward<Args>(args)...));
  }
}

}  // namespace crossloom::log
