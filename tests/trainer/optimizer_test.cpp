// Adam against its formula in float64, the schedule, the flat buffer, the exchange, learning at
// all.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/trainer/training_helpers.h"
#include "trainer/dead_features.h"
#include "trainer/exchange.h"

namespace crossloom::trainer {
namespace {

TEST(Adam, FollowsItsFormula) {
  AdamOptions options;
  options.learning_rate = 0.1;
  Adam adam(options, 3, at::kDouble);
  at::Tensor w = at::tensor({1.0, -2.0, 0.5}, at::kDouble);
  double want = 1.0, m = 0.0, v = 0.0;
  for (int64_t step = 1; step <= 5; ++step) {
    const double g = 0.3 * static_cast<double>(step) - 1.0;
    adam.update(w, at::full({3}, g, at::kDouble), step, 0.1, 0.5);
    m = 0.9 * m + 0.1 * (0.5 * g);
    v = 0.999 * v + 0.001 * 0.25 * g * g;
    const double t = static_cast<double>(step);
    want -= 0.1 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
    EXPECT_NEAR(w[0].item<double>(), want, 1e-14);
  }
}

TEST(Adam, BitsDoNotDependOnSlicing) {
  const at::Tensor gradient = at::rand({1000}, at::kFloat);
  at::Tensor whole = at::ones({1000}, at::kFloat);
  at::Tensor sliced = whole.clone();
  Adam all({}, 1000, at::kFloat);
  Adam first({}, 400, at::kFloat);
  Adam second({}, 600, at::kFloat);
  for (int64_t step = 1; step <= 3; ++step) {
    all.update(whole, gradient, step, 0.01, 1.0);
    first.update(sliced.narrow(0, 0, 400), gradient.narrow(0, 0, 400), step, 0.01, 1.0);
    second.update(sliced.narrow(0, 400, 600), gradient.narrow(0, 400, 600), step, 0.01, 1.0);
  }
  EXPECT_TRUE(at::equal(whole, sliced));
}

TEST(Schedule, WarmsUpThenFallsToZero) {
  AdamOptions options;
  options.learning_rate = 2.0;
  options.warmup_steps = 4;
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 1, 20), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 4, 20), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 5, 20), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 20, 20), 2.0 / 16.0);
  options.warmup_steps = 0;
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 1, 10), 2.0);
}

TEST(DeadFeatures, CountTokensSinceTheLastFiring) {
  DeadFeatures dead(2, 2);
  dead.update(at::tensor({1, 0, 0, 3}, at::kLong).view({2, 2}), 100);
  dead.update(at::tensor({0, 0, 0, 1}, at::kLong).view({2, 2}), 100);
  EXPECT_EQ(dead.silent_tokens().view(-1)[0].item<int64_t>(), 100);
  EXPECT_EQ(dead.dead_share(150), (std::vector<double>{0.5, 0.5}));
  EXPECT_EQ(dead.dead_share(100), (std::vector<double>{1.0, 0.5}));
}

TEST(Exchange, AddsInShardOrderForAnyRankCount) {
  constexpr int64_t kShards = 4;
  std::vector<double> reference;
  for (const int ranks : {1, 2, 4}) {
    run_ranks_as_threads(ranks, [&](Communicator& communicator) {
      const Exchange exchange(communicator, kShards);
      std::vector<double> partials;
      for (int64_t s = 0; s < exchange.local_shards(); ++s) {
        const auto shard = static_cast<double>(exchange.first_shard() + s);
        partials.push_back(std::pow(10.0, shard * 5) + 1.0 / 3.0);
        partials.push_back(1.0 / (shard + 0.1));
      }
      const auto total = exchange.ordered_sum(partials, 2);
      if (communicator.rank() == 0) {
        reference = reference.empty() ? total : reference;
        EXPECT_EQ(total, reference);
      }
    });
  }
}

TEST(Training, LearnsAndClipsAlikeOnAnyRankCount) {
  test::TempFolder folder;
  data::write_synthetic_cache(folder.file("shards"), test::tiny_data());
  auto options = test::tiny_training(folder.file("shards"), folder.file("run"));
  options.steps = 300;
  options.adam.learning_rate = 1e-2;
  const auto summary = test::run_training(options, *make_single_communicator());
  EXPECT_LT(summary.last.loss / 3.0, 0.6);  // the mean predictor has 1
  EXPECT_LE(summary.last.l0[0], 4.0);
}

TEST(TrainOptions, ImpossibleValuesAreNamed) {
  TrainOptions options;
  options.loader.batch_tokens = 10;
  test::expect_error<ConfigError>([&] { check_train_options(options, 4); }, {"batch_tokens"});
  options = {};
  options.deterministic = true;
  options.virtual_shards = 6;
  test::expect_error<ConfigError>([&] { check_train_options(options, 4); }, {"virtual_shards"});
  options = {};
  options.adam.beta2 = 1.0;
  test::expect_error<ConfigError>([&] { check_train_options(options, 1); }, {"adam.beta2"});
  options = {};
  options.dtype = "float16";
  test::expect_error<ConfigError>([&] { check_train_options(options, 1); }, {"float32"});
}

}  // namespace
}  // namespace crossloom::trainer
