// Random numbers and codes of given sizes, for tests that compare kernels.
#pragma once

#include <algorithm>
#include <vector>

#include "architectures/codes.h"
#include "architectures/initial_weights.h"

namespace crossloom::test {

struct CodeSizes {
  int64_t tokens;
  int64_t features;
  int64_t columns;
  int64_t per_token;  // codes of a token: 0 … per_token, changing from token to token
};

inline at::Tensor random_floats(at::IntArrayRef shape, uint64_t key) {
  return architectures::uniform_weights(shape, at::kFloat, Rng(key, Purpose::kTest), 1.0);
}

/// [rows, columns]; for odd keys a view with unit column stride whose rows are far apart, as in fat
/// rows, and begin at odd addresses.
inline at::Tensor random_matrix(int64_t rows, int64_t columns, uint64_t key,
                                at::ScalarType type = at::kFloat) {
  if (key % 2 == 0) {
    return random_floats({rows, columns}, key).to(type);
  }
  return random_floats({rows, 3, columns + 4}, key).to(type).select(1, 1).narrow(1, 1, columns);
}

/// Features that ascend and are spread over F; token t has t mod (per_token + 1) of them, which
/// begin at another feature each time.
inline architectures::LayerCodes random_codes(const CodeSizes& sizes, uint64_t key,
                                              at::ScalarType type = at::kFloat) {
  std::vector<int64_t> offsets = {0};
  std::vector<int32_t> index;
  for (int64_t t = 0; t < sizes.tokens; ++t) {
    const int64_t count = std::min(t % (sizes.per_token + 1), sizes.features);
    for (int64_t j = 0; j < count; ++j) {
      const int64_t room = (j + 1) * sizes.features / count - j * sizes.features / count;
      index.push_back(static_cast<int32_t>(j * sizes.features / count + t % room));
    }
    offsets.push_back(static_cast<int64_t>(index.size()));
  }
  return {.offsets = at::tensor(offsets, at::kLong),
          .index = at::tensor(index, at::kInt),
          .value = random_floats({static_cast<int64_t>(index.size())}, key).to(type)};
}

}  // namespace crossloom::test
