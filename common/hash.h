// The project's checksum: xxh3, 64 bits, seed 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace crossloom {

uint64_t xxh3(std::span<const std::byte> bytes);
/// Of a whole file, read piece by piece: unlike a mapping, it does not count as this process's
/// memory. Throws DataError.
uint64_t xxh3_of_file(const std::string& path);
/// 16 hex digits.
std::string hex(uint64_t value);

}  // namespace crossloom
