// Errors are user interface. Every failure is one of four types and says five things: what went
// wrong, what was expected, what was found, where, and what to do about it. Thrown anywhere,
// caught once in main (launch/main.cpp), which prints `Error::screen` and aborts the MPI job.
#pragma once

#include <stdexcept>
#include <string>

#include "common/format.h"

namespace crossloom {

struct ErrorReport {
  std::string what;      // one sentence
  std::string expected;  // may be empty
  std::string got;       // may be empty
  std::string where;     // path, dataset, key, rank
  std::string hint;      // what to do
};

class Error : public std::runtime_error {
 public:
  Error(const char* kind, ErrorReport report);

  const ErrorReport& report() const { return report_; }
  const char* kind() const { return kind_; }

  /// The message as printed: at most one screen, one labelled line per part.
  std::string screen() const;

 private:
  const char* kind_;
  ErrorReport report_;
};

/// The user's configuration, arguments or options are wrong. Exit code 2.
class ConfigError : public Error {
 public:
  explicit ConfigError(ErrorReport report) : Error("ConfigError", std::move(report)) {}
};

/// A file is missing, damaged, or belongs to something else. Exit code 1.
class DataError : public Error {
 public:
  explicit DataError(ErrorReport report) : Error("DataError", std::move(report)) {}
};

/// MPI, NCCL or CUDA failed, or another rank did. Exit code 1.
class DistError : public Error {
 public:
  explicit DistError(ErrorReport report) : Error("DistError", std::move(report)) {}
};

/// A broken invariant: our bug. Exit code 1.
class InternalError : public Error {
 public:
  explicit InternalError(ErrorReport report) : Error("InternalError", std::move(report)) {}
};

/// Throws InternalError; used by CROSSLOOM_CHECK.
[[noreturn]] void fail_check(const char* condition, const char* file, int line,
                             const std::string& detail);

}  // namespace crossloom

/// An invariant of ours, checked in release builds too. Never guards user input.
/// Further arguments are a fmt format string and its values.
#define CROSSLOOM_CHECK(condition, ...)                               \
  do {                                                                \
    if (!(condition)) {                                               \
      ::crossloom::fail_check(#condition, __FILE__, __LINE__,         \
                              ::crossloom::fmt::format(__VA_ARGS__)); \
    }                                                                 \
  } while (false)
