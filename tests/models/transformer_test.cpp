// Properties of the forward pass that need no reference: cache = no cache, hooks replace what they
// read, fused = differentiable, causality, refusal of bad tokens.
#include "models/transformer.h"

#include <gtest/gtest.h>

#include "models/generate.h"
#include "models/norm.h"
#include "tests/support/tiny_model.h"

namespace crossloom::models {
namespace {

constexpr double kRounding = 1e-12;  // float64, values of order 1 … 100

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

class TinyTransformer : public ::testing::TestWithParam<bool> {
 protected:
  Transformer model_ = test::make_tiny_model({.biases = GetParam()}, at::kDouble);
  at::Tensor tokens_ = test::random_tokens(19, 61, 3);
};

TEST_P(TinyTransformer, CacheInPiecesEqualsOneForward) {
  const at::Tensor whole = model_.forward(tokens_);
  KvCache cache(model_.spec(), 19, at::kDouble);
  std::vector<at::Tensor> rows;
  for (const auto& [begin, count] : {std::pair<int64_t, int64_t>{0, 5}, {5, 1}, {6, 7}, {13, 6}}) {
    rows.push_back(model_.forward(tokens_.narrow(0, begin, count), {}, {.cache = &cache}));
  }
  EXPECT_LE(largest_difference(at::cat(rows), whole), kRounding);
}

TEST_P(TinyTransformer, ExplicitPatternEqualsFusedAttention) {
  const Hooks look({HookPoint::kPattern, HookPoint::kLn1Scale, HookPoint::kLn2Scale},
                   [](HookPoint point, int64_t, at::Tensor& value) {
                     if (point == HookPoint::kPattern) {
                       EXPECT_LE(largest_difference(value.sum(-1), at::ones_like(value.sum(-1))),
                                 kRounding);
                       EXPECT_EQ(value.triu(1).abs().max().item<double>(), 0.0);
                     }
                   });
  EXPECT_LE(largest_difference(model_.forward(tokens_, look), model_.forward(tokens_)), kRounding);
}

TEST_P(TinyTransformer, LaterTokensDoNotChangeEarlierLogits) {
  at::Tensor other = tokens_.clone();
  other[18] = (other[18].item<int64_t>() + 1) % 61;
  EXPECT_EQ(largest_difference(model_.forward(tokens_).narrow(0, 0, 18),
                               model_.forward(other).narrow(0, 0, 18)),
            0.0);
}

TEST_P(TinyTransformer, EveryHookPointIsReplaceable) {
  const at::Tensor clean = model_.forward(tokens_);
  for (int i = 0; i < static_cast<int>(HookPoint::kCount); ++i) {
    const auto point = static_cast<HookPoint>(i);
    const auto scaled = [&](double factor) {
      return model_.forward(tokens_, Hooks({point}, [&](HookPoint, int64_t layer, at::Tensor& x) {
                              x = layer == 2 ? x * factor : x;
                            }));
    };
    EXPECT_LE(largest_difference(scaled(1.0), clean), kRounding) << hook_name(point);
    EXPECT_GT(largest_difference(scaled(1.5), clean), 1e-6) << hook_name(point);
  }
}

TEST_P(TinyTransformer, GenerationWithCacheEqualsWithout) {
  const std::vector<TokenId> prompt{1, 7, 33};
  for (const double temperature : {0.0, 0.9}) {
    SamplingOptions options;
    options.max_new_tokens = 30;
    options.temperature = temperature;
    options.top_p = 0.9;
    options.stop_at_eos = false;
    const auto with = generate(model_, prompt, options);
    options.use_cache = false;
    EXPECT_EQ(generate(model_, prompt, options), with);
    EXPECT_EQ(with.size(), 30U);
  }
}

INSTANTIATE_TEST_SUITE_P(Biases, TinyTransformer, ::testing::Bool());

TEST(Transformer, BadTokensAreRefused) {
  const Transformer model = test::make_tiny_model({}, at::kFloat);
  EXPECT_THROW(model.forward(at::tensor({5, 61}, at::kLong)), DataError);
  EXPECT_THROW(model.forward(at::tensor({-1}, at::kLong)), DataError);
  EXPECT_THROW(model.forward(at::empty({0}, at::kLong)), ConfigError);
  EXPECT_THROW(model.forward(at::zeros({65}, at::kLong)), ConfigError);
}

TEST(Norm, FusedEqualsDifferentiable) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    const Rng rng(5, Purpose::kTest);
    const at::Tensor x = test::random_tensor(rng, {7, 50}, 3.0).to(type);
    const at::Tensor gain = test::random_tensor(rng.with(1), {50}, 0.2, 1.0).to(type);
    const double bound = type == at::kDouble ? 1e-14 : 1e-5;
    EXPECT_LE(largest_difference(rms_norm(x, gain, 1e-5), x / rms_scale(x, 1e-5) * gain), bound);
  }
}

TEST(Sampling, FollowsProbabilitiesAndTopP) {
  const at::Tensor logits = at::log(at::tensor({0.5, 0.3, 0.15, 0.05}, at::kDouble));
  SamplingOptions options;
  EXPECT_EQ(choose_token(logits, options, 0.99), 0);
  options.temperature = 1.0;
  EXPECT_EQ(choose_token(logits, options, 0.49), 0);
  EXPECT_EQ(choose_token(logits, options, 0.51), 1);
  EXPECT_EQ(choose_token(logits, options, 0.99), 3);
  options.top_p = 0.75;  // keeps 0.5 and 0.3
  EXPECT_EQ(choose_token(logits, options, 0.99), 1);
  EXPECT_EQ(choose_token(at::tensor({2.0, 2.0}, at::kDouble), SamplingOptions{}, 0.9), 0);
}

}  // namespace
}  // namespace crossloom::models
