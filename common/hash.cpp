#include "common/hash.h"

#include <xxhash.h>

#include "common/format.h"

namespace crossloom {

uint64_t xxh3(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string hex(uint64_t value) {
  return fmt::format("{:016x}", value);
}

}  // namespace crossloom
