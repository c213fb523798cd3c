// fmt for the whole project: header-only from torch's include folder (its fmt comes first on the
// include path; linking the system's older libfmt then fails).
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace crossloom {
namespace fmt = ::fmt;

/// "1.4 GB", "97 KB": decimal units, three significant digits.
inline std::string human_bytes(double bytes) {
  const char* units[] = {"B", "KB", "MB", "GB", "TB", "PB"};
  int unit = 0;
  while (bytes >= 999.5 && unit < 5) {  // what would print as 1000 belongs to the next unit
    bytes /= 1000.0;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.3g} {}", bytes, units[unit]);
}

/// "2 min 05 s", "41 s", "3 h 12 min".
inline std::string human_seconds(double seconds) {
  const auto whole = static_cast<long long>(seconds + 0.5);
  if (whole < 60) {
    return fmt::format("{} s", whole);
  }
  if (whole < 3600) {
    return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  }
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}
}  // namespace crossloom
