#include "models/generate.h"

#include <algorithm>
#include <memory>

#include "common/rng.h"

namespace crossloom::models {
namespace {

void check_options(const SamplingOptions& options) {
  require_at_least("max_new_tokens", options.max_new_tokens, 1);
  if (!(options.temperature >= 0.0) || !(options.top_p > 0.0 && options.top_p <= 1.0)) {
    throw ConfigError(
        {.what = "Sampling options are out of range",
         .expected = "temperature ≥ 0 and 0 < top_p ≤ 1",
         .got = fmt::format("temperature {}, top_p {}", options.temperature, options.top_p),
         .where = "generate",
         .hint = "Change --temperature or --top_p."});
  }
}

}  // namespace

at::Tensor token_tensor(const std::vector<TokenId>& ids) {
  at::Tensor tokens = at::empty({static_cast<int64_t>(ids.size())}, at::TensorOptions(at::kLong));
  std::copy(ids.begin(), ids.end(), tokens.mutable_data_ptr<int64_t>());
  return tokens;
}

TokenId choose_token(const at::Tensor& logits, const SamplingOptions& options, double uniform) {
  check_shape(logits, {-1}, "logits");
  if (options.temperature == 0.0) {
    const at::Tensor values = logits.to(at::kDouble).contiguous();
    const auto* begin = values.const_data_ptr<double>();
    return static_cast<TokenId>(std::max_element(begin, begin + values.size(0)) - begin);
  }
  const at::Tensor probabilities =
      logits.to(at::kDouble).div(options.temperature).softmax(0);  // [V]
  const auto [sorted, order] = probabilities.sort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
  const auto* p = sorted.const_data_ptr<double>();
  const auto* id = order.const_data_ptr<int64_t>();
  int64_t kept = 0;
  double mass = 0.0;
  while (kept < sorted.size(0) && mass < options.top_p) {
    mass += p[kept++];
  }
  double left = uniform * mass;
  for (int64_t i = 0; i < kept; ++i) {
    left -= p[i];
    if (left < 0.0) {
      return static_cast<TokenId>(id[i]);
    }
  }
  return static_cast<TokenId>(id[kept - 1]);
}

std::vector<TokenId> generate(const Transformer& model, const std::vector<TokenId>& prompt,
                              const SamplingOptions& options,
                              const std::function<bool(TokenId)>& on_token) {
  check_options(options);
  const auto& spec = model.spec();
  const Rng rng(static_cast<uint64_t>(options.seed), Purpose::kSampling);
  const int64_t room = spec.context - static_cast<int64_t>(prompt.size());
  const int64_t limit = std::min(options.max_new_tokens, std::max<int64_t>(room, 1));
  std::unique_ptr<KvCache> cache;
  if (options.use_cache) {
    cache = std::make_unique<KvCache>(
        spec, std::min(spec.context, static_cast<int64_t>(prompt.size()) + limit), model.type());
  }
  std::vector<TokenId> all = prompt;
  std::vector<TokenId> fresh = prompt;  // what the cache has not seen
  for (int64_t step = 0; step < limit; ++step) {
    const at::Tensor logits =
        model.forward(token_tensor(cache ? fresh : all), {},
                      {.logits = ForwardOptions::Logits::kLast, .cache = cache.get()});  // [1, V]
    const TokenId next =
        choose_token(logits[0], options, rng.uniform_double(static_cast<uint64_t>(step)));
    const bool ended = options.stop_at_eos && std::find(spec.eos_ids.begin(), spec.eos_ids.end(),
                                                        next) != spec.eos_ids.end();
    all.push_back(next);
    fresh = {next};
    if (ended || (on_token && !on_token(next))) {
      break;
    }
  }
  return {all.begin() + static_cast<std::ptrdiff_t>(prompt.size()), all.end()};
}

}  // namespace crossloom::models
