// How well the model predicts a text: exp of the mean negative log-likelihood per token.
// The proof of a right weight conversion (generated text proves nothing).
#pragma once

#include <functional>
#include <vector>

#include "models/tokenizer.h"
#include "models/transformer.h"

namespace crossloom::models {

struct Perplexity {
  double mean_nll = 0.0;  // nats per predicted token
  int64_t tokens = 0;     // predicted tokens
  double value() const;
};

/// Every id of each window after its first is predicted from those before it. `on_window` is called
/// with the number of windows done.
Perplexity perplexity(const Transformer& model, const std::vector<std::vector<TokenId>>& windows,
                      const std::function<void(int64_t)>& on_window = {});

/// Windows of `context` ids, `bos_id` and context − 1 consecutive ids, begun at equal distances
/// over the whole text: window i of n at i·(N − (context − 1))/(n − 1). At most `limit`, never
/// overlapping.
std::vector<std::vector<TokenId>> bos_windows(const std::vector<TokenId>& ids, int64_t context,
                                              TokenId bos_id, int64_t limit);

}  // namespace crossloom::models
