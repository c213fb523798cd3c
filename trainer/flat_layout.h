// Where parameters lie when they are one vector, in the order of Transcoder::parameters(), and how
// the vector is cut into blocks, as many as there are virtual token shards:
//
//   [ parameter 0 | parameter 1 | … ]        block b is [begin(b), begin(b + 1))
//
// A rank owns consecutive blocks: their optimizer state lives there only (ZeRO-1). Blocks are about
// equal, and begin where a state block does (state_block.h), so that 8-bit moments have one owner
// for all that shares a scale.
#pragma once

#include <cstdint>
#include <vector>

#include "architectures/transcoder.h"

namespace crossloom::trainer {

struct Range {
  int64_t begin = 0, end = 0;  // elements
  int64_t count() const { return end - begin; }
};

/// What both ranges hold; an empty one at an end of `a` where they do not meet.
Range overlap(const Range& a, const Range& b);

class FlatLayout {
 public:
  FlatLayout(const std::vector<architectures::Parameter>& parameters, int64_t blocks);

  /// Elements of all parameters.
  int64_t total() const { return parameters_.back().end; }
  /// Parameter p in the vector.
  const Range& parameter(size_t p) const { return parameters_[p]; }
  /// Blocks first … first + count − 1.
  Range block_range(int64_t first, int64_t count = 1) const {
    return {begins_[static_cast<size_t>(first)], begins_[static_cast<size_t>(first + count)]};
  }
  /// What `range` of the vector holds of parameter p, counted from its first element.
  Range part(size_t p, const Range& range) const;

 private:
  std::vector<Range> parameters_;
  std::vector<int64_t> begins_;  // [blocks + 1]
};

}  // namespace crossloom::trainer
