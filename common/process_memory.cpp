#include "common/process_memory.h"

#include <sys/resource.h>

#include <fstream>
#include <string>

namespace crossloom {
namespace {

/// "Name:   123 kB" of a /proc file, in bytes.
double kilobytes_field(const char* path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name + ":")) {
      return 1024.0 * std::stod(line.substr(name.size() + 1));
    }
  }
  return 0.0;
}

}  // namespace

bool reset_peak_memory() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;
  return file.good();
}

double peak_memory_bytes() {
  return kilobytes_field("/proc/self/status", "VmHWM");
}

double resident_memory_bytes() {
  return kilobytes_field("/proc/self/status", "VmRSS");
}

int64_t page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

double available_memory_bytes() {
  return kilobytes_field("/proc/meminfo", "MemAvailable");
}

}  // namespace crossloom
