#include "common/hash.h"

#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "common/error.h"
#include "common/format.h"

namespace crossloom {

uint64_t xxh3(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

uint64_t xxh3_of_file(const std::string& path) {
  constexpr size_t kPiece_bytes = size_t{1} << 20;
  std::ifstream file(path, std::ios::binary);
  std::vector<char> piece(kPiece_bytes);
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  while (file.read(piece.data(), static_cast<std::streamsize>(piece.size())) || file.gcount() > 0) {
    XXH3_64bits_update(&state, piece.data(), static_cast<size_t>(file.gcount()));
  }
  if (!file.eof()) {  // an error, also of opening
    throw DataError({.what = "A file cannot be read",
                     .expected = "a readable regular file",
                     .got = std::strerror(errno),
                     .where = path,
                     .hint = "Check the path and its permissions."});
  }
  return XXH3_64bits_digest(&state);
}

std::string hex(uint64_t value) {
  return fmt::format("{:016x}", value);
}

}  // namespace crossloom
