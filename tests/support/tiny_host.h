// A tiny host model and texts for it in folders of their own: what harvest needs.
#pragma once

#include <filesystem>
#include <fstream>

#include "tests/support/tiny_llama.h"

namespace crossloom::test {

inline void write_tiny_host(const std::string& folder, uint64_t seed) {
  std::filesystem::create_directory(folder);
  write_tiny_llama(folder, {.seed = seed});
  write_tiny_tokenizer(folder);
}

/// Twelve documents of about 450 letters.
inline void write_tiny_texts(const std::string& folder) {
  std::filesystem::create_directory(folder);
  for (int i = 0; i < 12; ++i) {
    std::ofstream file(folder + "/" + std::to_string(i) + ".txt");
    for (int j = 0; j < 400; ++j) {
      file << char('a' + (i * 5 + j * j * 3) % 26) << (j % 7 == 0 ? " " : "");
    }
  }
}

}  // namespace crossloom::test
