#include "models/perplexity.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "models/generate.h"

namespace crossloom::models {

double Perplexity::value() const {
  return std::exp(mean_nll);
}

Perplexity perplexity(const Transformer& model, const std::vector<std::vector<TokenId>>& windows,
                      const std::function<void(int64_t)>& on_window) {
  double nll = 0.0;
  int64_t count = 0;
  int64_t done = 0;
  for (const auto& window : windows) {
    const at::Tensor tokens = token_tensor(window);   // [S]
    const at::Tensor logits = model.forward(tokens);  // [S, V]
    const int64_t predicted = tokens.size(0) - 1;
    const at::Tensor rows = logits.narrow(0, 0, predicted);
    const at::Tensor chosen =
        rows.gather(1, tokens.narrow(0, 1, predicted).unsqueeze(1)).squeeze(1);
    nll += (rows.logsumexp(1) - chosen).sum(at::kDouble).item<double>();
    count += predicted;
    if (on_window) {
      on_window(++done);
    }
  }
  return {count == 0 ? 0.0 : nll / static_cast<double>(count), count};
}

std::vector<std::vector<TokenId>> bos_windows(const std::vector<TokenId>& ids, int64_t context,
                                              TokenId bos_id, int64_t limit) {
  const int64_t length = context - 1;
  const auto available = static_cast<int64_t>(ids.size());
  const int64_t count = std::min(limit, available / length);
  std::vector<std::vector<TokenId>> windows;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = count == 1 ? 0 : i * (available - length) / (count - 1);
    std::vector<TokenId> window{bos_id};
    window.insert(window.end(), ids.begin() + begin, ids.begin() + begin + length);
    windows.push_back(std::move(window));
  }
  return windows;
}

}  // namespace crossloom::models
