#include "common/rng.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "common/error.h"

namespace crossloom {
namespace {

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53;
  constexpr uint64_t kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9;
  constexpr uint32_t kWeyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = kMultiplier0 * counter[0];
    const uint64_t product1 = kMultiplier1 * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key = {key[0] + kWeyl0, key[1] + kWeyl1};
  }
  return counter;
}

/// SplitMix64's finaliser: spreads a key over 64 bits.
uint64_t mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15ULL;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31);
}

}  // namespace

Rng Rng::with(uint64_t key) const {
  Rng child = *this;
  child.purpose_ = mix(purpose_ ^ mix(key + 1));
  return child;
}

std::array<uint32_t, 4> Rng::bits(uint64_t index) const {
  return philox({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                 static_cast<uint32_t>(purpose_), static_cast<uint32_t>(purpose_ >> 32)},
                {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)});
}

float Rng::uniform(uint64_t index) const {
  return static_cast<float>(bits(index)[0] >> 8) * 0x1p-24F;
}

double Rng::uniform_double(uint64_t index) const {
  const auto words = bits(index);
  const uint64_t joined = (static_cast<uint64_t>(words[0]) << 32) | words[1];
  return static_cast<double>(joined >> 11) * 0x1p-53;
}

float Rng::normal(uint64_t index) const {
  const auto words = bits(index);
  const double u = (static_cast<double>(words[0]) + 1.0) * 0x1p-32;  // (0, 1]: the log is finite
  const double v = static_cast<double>(words[1]) * 0x1p-32;
  return static_cast<float>(std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v));
}

uint64_t Rng::permute(uint64_t index, uint64_t n) const {
  CROSSLOOM_CHECK(index < n, "permute: index {} of {}", index, n);
  const uint64_t half_bits = std::max<uint64_t>(1, (uint64_t(std::bit_width(n - 1)) + 1) / 2);
  const uint64_t mask = (uint64_t{1} << half_bits) - 1;
  do {  // cycle walking: the domain is at most 4n, so a few turns on average
    uint64_t left = index >> half_bits;
    uint64_t right = index & mask;
    for (uint64_t round = 0; round < 4; ++round) {
      const auto words = with(round).bits(right);
      const uint64_t next = left ^ (((static_cast<uint64_t>(words[0]) << 32) | words[1]) & mask);
      left = right;
      right = next;
    }
    index = (left << half_bits) | right;
  } while (index >= n);
  return index;
}

}  // namespace crossloom
