#include "trainer/flat_layout.h"

#include <algorithm>

#include "trainer/state_block.h"

namespace crossloom::trainer {

Range overlap(const Range& a, const Range& b) {
  const int64_t begin = std::clamp(b.begin, a.begin, a.end);
  return {begin, std::clamp(b.end, begin, a.end)};
}

FlatLayout::FlatLayout(const std::vector<architectures::Parameter>& parameters, int64_t blocks) {
  int64_t total = 0;
  for (const auto& parameter : parameters) {
    parameters_.push_back({total, total + parameter.value.numel()});
    total = parameters_.back().end;
  }
  size_t p = 0;
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t equal = total / blocks * b + total % blocks * b / blocks;
    while (parameters_[p].end <= equal && p + 1 < parameters_.size()) {
      ++p;
    }
    const int64_t row = parameters[p].value.size(-1);
    const int64_t in_row = (equal - parameters_[p].begin) % row;
    begins_.push_back(equal - in_row % kStateBlock);
  }
  begins_.push_back(total);
}

Range FlatLayout::part(size_t p, const Range& range) const {
  const Range& whole = parameters_[p];
  const Range both = overlap(whole, range);
  return {both.begin - whole.begin, both.end - whole.begin};
}

}  // namespace crossloom::trainer
