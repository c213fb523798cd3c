// Whole files in one call, for tests.
#pragma once

#include <fstream>
#include <iterator>
#include <string>

namespace crossloom::test {

inline std::string bytes_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void put_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace crossloom::test
