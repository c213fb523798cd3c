#include "models/perplexity.h"

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
  std::vector<std::vector<TokenId>> windows;
  const auto stride = static_cast<size_t>(context - 1);
  for (size_t begin = 0; begin + stride <= ids.size() && std::cmp_less(windows.size(), limit);
       begin += stride) {
    std::vector<TokenId> window{bos_id};
    window.insert(window.end(), ids.begin() + static_cast<std::ptrdiff_t>(begin),
                  ids.begin() + static_cast<std::ptrdiff_t>(begin + stride));
    windows.push_back(std::move(window));
  }
  return windows;
}

}  // namespace crossloom::models
