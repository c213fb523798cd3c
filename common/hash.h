// The project's checksum: xxh3, 64 bits, seed 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace crossloom {

uint64_t xxh3(std::span<const std::byte> bytes);
/// 16 hex digits.
std::string hex(uint64_t value);

}  // namespace crossloom
