// Text from the model, token by token: greedy, or sampled with temperature and top-p from a seeded
// pure function of (seed, step), so that a run can be repeated exactly.
#pragma once

#include <functional>
#include <vector>

#include "common/options.h"
#include "models/tokenizer.h"
#include "models/transformer.h"

namespace crossloom::models {

struct SamplingOptions : Options {
  int64_t max_new_tokens = 64;
  double temperature = 0.0;  // 0: greedy
  double top_p = 1.0;
  int64_t seed = 1;
  bool stop_at_eos = true;
  bool use_cache = true;

  void visit(OptionVisitor& v) override {
    v.field("max_new_tokens", max_new_tokens, "tokens to generate at most");
    v.field("temperature", temperature, "0 is greedy; higher is more random");
    v.field("top_p", top_p, "sample from the smallest set holding this probability");
    v.field("seed", seed, "seed of the sampling");
    v.field("stop_at_eos", stop_at_eos, "stop at an end-of-text token");
    v.field("use_cache", use_cache, "keep keys and values of earlier positions");
  }
};

/// Continues `prompt` (at least one id); calls `on_token` for each new id, stops when it returns
/// false. Returns the new ids. Throws ConfigError for an empty prompt or options out of range.
std::vector<TokenId> generate(const Transformer& model, const std::vector<TokenId>& prompt,
                              const SamplingOptions& options,
                              const std::function<bool(TokenId)>& on_token = {});

/// The next id for logits [V]: the largest (ties: lower id), or a draw with `uniform` in [0, 1).
TokenId choose_token(const at::Tensor& logits, const SamplingOptions& options, double uniform);

/// Ids as the tensor that Transformer::forward takes: int64 [S].
at::Tensor token_tensor(const std::vector<TokenId>& ids);

}  // namespace crossloom::models
