// A progress bar for a long stage: share done, rate, time left. On a terminal one line that is
// redrawn; elsewhere a plain line at most every few seconds, so that logs stay readable.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace crossloom {

class Progress {
 public:
  /// `unit` is what is counted ("tokens", "steps"). Prints nothing unless this rank speaks.
  Progress(std::string title, int64_t total, std::string unit);
  /// Finishes the line; says how long the stage took.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of the total; `note` is appended ("loss 0.71").
  void update(int64_t done, const std::string& note = {});

 private:
  void draw(double elapsed_s) const;

  using Clock = std::chrono::steady_clock;
  std::string title_;
  std::string unit_;
  std::string note_;
  int64_t total_;
  int64_t done_ = 0;
  bool terminal_;
  bool speaks_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_draw_;
};

}  // namespace crossloom
