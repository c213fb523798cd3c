#include "eval/replacement.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/mean.h"
#include "data/window_buffer.h"
#include "models/generate.h"

namespace crossloom::eval {
namespace {

using models::HookPoint;

constexpr size_t kShortestWindow_tokens = 3;  // one prediction at a position ≥ 1

/// Per-prediction numbers of one changed model: KL, CE, whether the argmax agrees.
struct Predictions {
  std::vector<double> kl, cross_entropy, agrees;
};

void append(std::vector<double>& into, const at::Tensor& values) {
  const at::Tensor flat = values.to(at::kDouble).contiguous();
  into.insert(into.end(), flat.const_data_ptr<double>(),
              flat.const_data_ptr<double>() + flat.numel());
}

/// log p [S − 2, V] of the next token, as predicted at positions 1 … S − 2, from logits [S, V].
at::Tensor log_probabilities(const at::Tensor& logits) {
  return logits.narrow(0, 1, logits.size(0) - 2).log_softmax(1);
}

/// log p [S − 2] of the tokens that came.
at::Tensor chosen(const at::Tensor& log_p, const at::Tensor& tokens) {
  return log_p.gather(1, tokens.narrow(0, 2, log_p.size(0)).unsqueeze(1)).squeeze(1);
}

void compare(const at::Tensor& base, const at::Tensor& changed, const at::Tensor& tokens,
             Predictions& into) {
  append(into.kl, (base.exp() * (base - changed)).sum(1));
  append(into.cross_entropy, chosen(changed, tokens).neg());
  append(into.agrees, base.argmax(1).eq(changed.argmax(1)));
}

/// All ranks' numbers on every rank, in rank order.
std::vector<double> gathered(const std::vector<double>& mine, Communicator& communicator) {
  const auto bytes = static_cast<int64_t>(mine.size() * sizeof(double));
  std::vector<int64_t> sizes(static_cast<size_t>(communicator.size()));
  communicator.all_gather(&bytes, sizes.data(), sizeof(bytes));
  std::vector<double> all(
      static_cast<size_t>(std::accumulate(sizes.begin(), sizes.end(), int64_t{0})) /
      sizeof(double));
  communicator.all_gather_v(mine.data(), all.data(), sizes);
  return all;
}

double quantile(std::vector<double> values, double share) {
  if (values.empty()) {
    return 0.0;
  }
  const auto place = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + place, values.end());
  return values[static_cast<size_t>(place)];
}

ReplacementScores scores(const Predictions& mine, double base_cross_entropy,
                         Communicator& communicator) {
  const auto kl = gathered(mine.kl, communicator);
  ReplacementScores result;
  result.kl = mean(kl);
  result.kl_median = quantile(kl, 0.5);
  result.kl_p95 = quantile(kl, 0.95);
  result.cross_entropy = mean(gathered(mine.cross_entropy, communicator));
  result.delta_cross_entropy = result.cross_entropy - base_cross_entropy;
  result.top1_agreement = mean(gathered(mine.agrees, communicator));
  return result;
}

}  // namespace

Json ReplacementScores::to_json() const {
  return {{"kl", kl},
          {"kl_median", kl_median},
          {"kl_p95", kl_p95},
          {"cross_entropy", cross_entropy},
          {"delta_cross_entropy", delta_cross_entropy},
          {"top1_agreement", top1_agreement}};
}

Json ReplacementReport::to_json() const {
  return {{"tokens", tokens},
          {"cross_entropy", cross_entropy},
          {"replaced", replaced.to_json()},
          {"mean_ablated", mean_ablated.to_json()}};
}

MlpReplacement::MlpReplacement(const TrainedTranscoder& folded)
    : folded_(folded), input_(models::hook_from_name(folded.identity.hook_in)) {}

models::Hooks MlpReplacement::hooks() {
  return {{input_, HookPoint::kMlpOut}, [this](HookPoint point, int64_t layer, at::Tensor& value) {
            if (point == input_) {
              encode(layer, value);
            } else {
              write(layer, value);
            }
          }};
}

void MlpReplacement::encode(int64_t layer, const at::Tensor& u) {
  if (layer == 0) {
    codes_.clear();
    inputs_.clear();
  }
  const auto type = folded_.transcoder->type();
  inputs_.push_back(u.to(type));
  codes_.push_back(
      folded_.transcoder->filter(layer, folded_.transcoder->propose(layer, inputs_.back())));
}

void MlpReplacement::write(int64_t layer, at::Tensor& o) const {
  at::Tensor reconstruction = at::empty(o.sizes(), inputs_.back().options());
  folded_.transcoder->decode_layer(layer, codes_, inputs_.back(),
                                   {0, folded_.transcoder->shape().width}, reconstruction);
  reconstruction[0].copy_(o[0]);
  o = reconstruction.to(o.scalar_type());
}

models::Hooks mean_ablation_hooks(const at::Tensor& means) {
  return {{HookPoint::kMlpOut}, [means](HookPoint, int64_t layer, at::Tensor& o) {
            at::Tensor replaced = means[layer].to(o.scalar_type()).expand(o.sizes()).clone();
            replaced[0].copy_(o[0]);
            o = replaced;
          }};
}

std::vector<std::vector<models::TokenId>> windows_of_rows(const data::ShardSet& shards,
                                                          const data::RowSelection& rows,
                                                          models::TokenId bos_id, int64_t limit) {
  std::vector<std::vector<models::TokenId>> windows;
  const int64_t most_rows = std::min(rows.size(), limit * shards.identity().context_len);
  std::vector<int64_t> wanted;
  for (int64_t i = 0; i < most_rows; ++i) {
    wanted.push_back(rows.row(i));
  }
  const data::Batch ids = data::read_rows(shards, wanted);
  const auto* token = ids.tokens.const_data_ptr<int32_t>();
  const auto* document = ids.documents.const_data_ptr<int64_t>();
  const auto* position = ids.positions.const_data_ptr<int32_t>();
  for (size_t i = 0; i < wanted.size(); ++i) {
    const bool continues = i > 0 && wanted[i] == wanted[i - 1] + 1 &&
                           document[i] == document[i - 1] && position[i] == position[i - 1] + 1;
    if (position[i] == 1) {
      windows.push_back({bos_id});
    } else if (!continues) {
      continue;  // the head of this window is not among the rows
    }
    if (!windows.empty()) {
      windows.back().push_back(token[i]);
    }
  }
  std::erase_if(windows, [](const auto& window) { return window.size() < kShortestWindow_tokens; });
  if (std::cmp_greater(windows.size(), limit)) {
    windows.resize(static_cast<size_t>(limit));
  }
  return windows;
}

ReplacementReference::ReplacementReference(const models::Transformer& model,
                                           std::vector<std::vector<models::TokenId>> windows,
                                           const at::Tensor& target_mean,
                                           Communicator& communicator)
    : windows_(std::move(windows)), target_mean_(target_mean), type_(model.type()) {
  Predictions ablated;
  std::vector<double> base_cross_entropy;
  communicator.agree([&] {
    for (size_t w = static_cast<size_t>(communicator.rank()); w < windows_.size();
         w += static_cast<size_t>(communicator.size())) {
      Window window{models::token_tensor(windows_[w]), {}};
      model.forward(window.tokens,
                    {{HookPoint::kResidFinal},
                     [&](HookPoint, int64_t, at::Tensor& r) { window.residual = r.clone(); }},
                    {.logits = models::ForwardOptions::Logits::kNone});
      const at::Tensor base = log_probabilities(model.unembed(window.residual));
      append(base_cross_entropy, chosen(base, window.tokens).neg());
      const at::Tensor logits = model.forward(window.tokens, mean_ablation_hooks(target_mean_));
      compare(base, log_probabilities(logits), window.tokens, ablated);
      own_.push_back(std::move(window));
    }
  });
  const auto base = gathered(base_cross_entropy, communicator);
  tokens_ = static_cast<int64_t>(base.size());
  cross_entropy_ = mean(base);
  mean_ablated_ = scores(ablated, cross_entropy_, communicator);
}

bool ReplacementReference::serves(at::ScalarType type,
                                  const std::vector<std::vector<models::TokenId>>& windows,
                                  const at::Tensor& target_mean) const {
  return type_ == type && windows_ == windows && at::equal(target_mean_, target_mean);
}

ReplacementReport ReplacementReference::evaluate(const models::Transformer& model,
                                                 const TrainedTranscoder& folded,
                                                 Communicator& communicator) const {
  Predictions replaced;
  MlpReplacement replacement(folded);
  communicator.agree([&] {
    for (const Window& window : own_) {
      const at::Tensor base = log_probabilities(model.unembed(window.residual));
      const at::Tensor logits = model.forward(window.tokens, replacement.hooks());
      compare(base, log_probabilities(logits), window.tokens, replaced);
    }
  });
  return {.tokens = tokens_,
          .cross_entropy = cross_entropy_,
          .replaced = scores(replaced, cross_entropy_, communicator),
          .mean_ablated = mean_ablated_};
}

}  // namespace crossloom::eval
