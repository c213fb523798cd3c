// Random numbers as a pure function of (seed, purpose, index): no generator state, so nothing to
// save in a checkpoint and nothing that depends on rank or thread.
//
// Philox 4×32-10 (Salmon et al., SC 2011): key = seed, counter = (index, purpose).
// Permutations are a 4-round Feistel network over the smallest even-bit domain, cycle-walked into
// [0, n): a bijection evaluated per index, without a list in memory.
#pragma once

#include <array>
#include <cstdint>

namespace crossloom {

/// What a draw is for; the numbers are part of every format that stores a seed: never renumber.
enum class Purpose : uint64_t {
  kEncoderWeights = 1,
  kDecoderWeights = 2,
  kShuffleBlocks = 3,
  kShuffleRows = 4,
  kSampling = 5,
  kTest = 6,
  kStochasticRounding = 7,
  kRandomModel = 8,
  kEdgeChoice = 9,
  kHeldOutDocuments = 20,
  kDocumentOrder = 21,
  kPromptDocuments = 22,
  kPromptWindows = 23,
  kPromptPositions = 24,
};

class Rng {
 public:
  Rng(uint64_t seed, Purpose purpose) : seed_(seed), purpose_(static_cast<uint64_t>(purpose)) {}
  /// A further key, e.g. a layer or an epoch; different keys give independent streams.
  Rng with(uint64_t key) const;

  std::array<uint32_t, 4> bits(uint64_t index) const;
  /// [0, 1), 24 random bits.
  float uniform(uint64_t index) const;
  /// [0, 1), 53 random bits.
  double uniform_double(uint64_t index) const;
  /// Standard normal (Box–Muller).
  float normal(uint64_t index) const;
  /// The image of `index` under a keyed permutation of [0, n). Requires index < n.
  uint64_t permute(uint64_t index, uint64_t n) const;

 private:
  uint64_t seed_;
  uint64_t purpose_;
};

}  // namespace crossloom
