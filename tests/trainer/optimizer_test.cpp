// Adam against its formula in float64, the schedule, the flat vector's layout, the exchange,
// learning at all.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/trainer/training_helpers.h"
#include "trainer/application.h"
#include "trainer/exchange.h"
#include "trainer/feature_density.h"
#include "trainer/schedule.h"

namespace crossloom::trainer {
namespace {

TEST(Adam, FollowsItsFormula) {
  AdamOptions options;
  options.learning_rate = 0.1;
  const architectures::Parameter w{"w", at::tensor({1.0, -2.0, 0.5}, at::kDouble)};
  const Moments moments({0, 3}, at::kDouble);
  const auto application = exact_application(w, 0, moments, options);
  double want = 1.0, m = 0.0, v = 0.0;
  for (int64_t step = 1; step <= 5; ++step) {
    const double g = 0.3 * static_cast<double>(step) - 1.0;
    application->start(step, 0.1, 0.5);
    application->apply_part({0, 3}, at::full({3}, g, at::kDouble));
    m = 0.9 * m + 0.1 * (0.5 * g);
    v = 0.999 * v + 0.001 * 0.25 * g * g;
    const double t = static_cast<double>(step);
    want -= 0.1 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
    EXPECT_NEAR(w.value[0].item<double>(), want, 1e-14);
  }
}

/// Two owners of a part each against one of all; the second parameter of a vector of 1,010.
TEST(Adam, BitsDoNotDependOnWhoOwnsWhat) {
  const at::Tensor gradient = at::rand({1000}, at::kFloat);
  const architectures::Parameter whole{"whole", at::ones({10, 100})};
  const architectures::Parameter parts{"parts", at::ones({10, 100})};
  const Moments of_all({0, 1010}, at::kFloat), of_first({0, 464}, at::kFloat),
      of_second({464, 1010}, at::kFloat);
  const auto all = exact_application(whole, 10, of_all, {});
  const auto first = exact_application(parts, 10, of_first, {});
  const auto second = exact_application(parts, 10, of_second, {});
  for (int64_t step = 1; step <= 3; ++step) {
    all->start(step, 0.01, 1.0);
    all->apply_part({0, 1000}, gradient);
    first->start(step, 0.01, 1.0);
    first->apply_part({0, 454}, gradient.narrow(0, 0, 454));
    second->start(step, 0.01, 1.0);
    second->apply_part({454, 1000}, gradient.narrow(0, 454, 546));
  }
  EXPECT_TRUE(at::equal(whole.value, parts.value));
  EXPECT_LT(whole.value.max().item<float>(), 1.0F);
}

TEST(FlatLayout, BlocksAreAboutEqualAndBeginWithStateBlocks) {
  const std::vector<architectures::Parameter> parameters{
      {"b", at::zeros({70})}, {"W", at::zeros({40, 3, 72})}, {"V", at::zeros({9, 24})}};
  constexpr int64_t kTotal = 70 + 40 * 3 * 72 + 9 * 24;
  for (const int64_t blocks : {1, 2, 3, 8, 64}) {
    const FlatLayout layout(parameters, blocks);
    EXPECT_EQ(layout.total(), kTotal);
    EXPECT_EQ(layout.block_range(0, blocks).begin, 0);
    EXPECT_EQ(layout.block_range(0, blocks).end, kTotal);
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t begin = layout.block_range(b).begin;
      EXPECT_NEAR(static_cast<double>(begin), double(kTotal * b) / double(blocks), 64.0);
      EXPECT_LE(begin, layout.block_range(b).end);
      for (size_t p = 0; p < parameters.size(); ++p) {
        const Range place = layout.parameter(p);
        if (place.begin <= begin && begin < place.end) {
          EXPECT_EQ((begin - place.begin) % parameters[p].value.size(-1) % kStateBlock, 0);
        }
      }
    }
    int64_t elements = 0;
    for (size_t p = 0; p < parameters.size(); ++p) {
      for (int64_t b = 0; b < blocks; ++b) {
        elements += layout.part(p, layout.block_range(b)).count();
      }
    }
    EXPECT_EQ(elements, kTotal);
  }
}

/// Every length up to a few vectors, whatever their width here.
TEST(FlatKernels, EqualTheScalarFormulas) {
  for (int64_t count = 0; count < 70; ++count) {
    const at::Tensor g = at::randn({count}, at::kFloat);
    at::Tensor w = at::randn({count}, at::kFloat);
    at::Tensor m = at::randn({count}, at::kFloat);
    at::Tensor v = at::rand({count}, at::kFloat);
    const AdamCoefficients<float> c{.scale = 0.5F,
                                    .beta1 = 0.9F,
                                    .rest1 = 0.1F,
                                    .beta2 = 0.999F,
                                    .rest2 = 0.001F,
                                    .step_size = 0.01F,
                                    .root = 1.5F,
                                    .epsilon = 1e-6F};
    const at::Tensor g64 = g.to(at::kDouble) * 0.5;
    const at::Tensor m64 = m.to(at::kDouble) * 0.9 + g64 * 0.1;
    const at::Tensor v64 = v.to(at::kDouble) * 0.999 + g64.square() * 0.001;
    const at::Tensor w64 = w.to(at::kDouble) - m64 * 0.01 / (v64.sqrt() * 1.5 + 1e-6);
    adam_stretch(w.mutable_data_ptr<float>(), g.const_data_ptr<float>(),
                 m.mutable_data_ptr<float>(), v.mutable_data_ptr<float>(), count, c);
    EXPECT_TRUE(at::allclose(w.to(at::kDouble), w64, 1e-6, 1e-6));
    EXPECT_TRUE(at::allclose(m.to(at::kDouble), m64, 1e-6, 1e-6));
    EXPECT_TRUE(at::allclose(v.to(at::kDouble), v64, 1e-6, 1e-6));
    EXPECT_NEAR(squared_sum(g.const_data_ptr<float>(), count),
                g.to(at::kDouble).square().sum().item<double>(), 1e-12);
  }
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

TEST(Schedule, CosineConstantAndFinalDecay) {
  AdamOptions options;
  options.learning_rate = 1.0;
  options.warmup_steps = 0;
  options.decay = "constant";
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 99, 100), 1.0);
  options.decay = "linear";
  options.decay_share = 0.2;  // constant, then linear over the last fifth
  options.final_rate = 0.1;
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 80, 100), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 81, 100), 1.0);
  EXPECT_NEAR(learning_rate_at(options, 91, 100), 0.55, 1e-12);
  EXPECT_NEAR(learning_rate_at(options, 100, 100), 0.1 + 0.9 / 20.0, 1e-12);
  options.decay = "cosine";
  options.decay_share = 1.0;
  options.final_rate = 0.0;
  EXPECT_NEAR(learning_rate_at(options, 51, 100), 0.5, 1e-12);
}

TEST(Schedule, SparsityRampsAndKAnneals) {
  SparsityOptions sparsity;
  sparsity.weight = 2.0;
  sparsity.ramp_share = 0.5;
  EXPECT_DOUBLE_EQ(sparsity_weight_at(sparsity, 25, 100), 1.0);
  EXPECT_DOUBLE_EQ(sparsity_weight_at(sparsity, 50, 100), 2.0);
  EXPECT_DOUBLE_EQ(sparsity_weight_at(sparsity, 90, 100), 2.0);
  sparsity.ramp = "cosine";
  EXPECT_NEAR(sparsity_weight_at(sparsity, 25, 100), 1.0, 1e-12);
  EXPECT_LT(sparsity_weight_at(sparsity, 10, 100), 0.4);
  KAnnealingOptions annealing;
  EXPECT_EQ(kept_at(annealing, 16, 1, 100), 16);
  annealing.start = 256;
  EXPECT_EQ(kept_at(annealing, 16, 1, 100), 256);
  EXPECT_EQ(kept_at(annealing, 16, 26, 100), 64);  // half way in the exponent
  EXPECT_EQ(kept_at(annealing, 16, 51, 100), 16);
}

TEST(FeatureDensity, FollowsItsFormulaAndForgetsAfterItsTimeConstant) {
  constexpr double kWindow = 1000.0;
  FeatureDensity density(1, 2, kWindow, 1e-3);
  EXPECT_EQ(density.dead_share(), std::vector<double>{0.0});  // nothing seen yet
  density.update(at::tensor({10, 0}, at::kLong).view({1, 2}), 100);
  EXPECT_NEAR(density.density().view(-1)[0].item<double>(), (1.0 - std::exp(-0.1)) * 0.1, 1e-15);
  EXPECT_EQ(density.dead_share(), std::vector<double>{0.5});
  // A feature of density 0.1 that stops is dead after τ ln(ρ₀/ρ_min) tokens, bias correction aside.
  for (int i = 0; i < 100; ++i) {
    density.update(at::tensor({10, 10}, at::kLong).view({1, 2}), 100);
  }
  const auto limit = static_cast<int>(kWindow * std::log(0.1 / 1e-3) / 100.0);
  for (int i = 0; i < limit; ++i) {
    EXPECT_EQ(density.dead_share(), std::vector<double>{0.0});
    density.update(at::zeros({1, 2}, at::kLong), 100);
  }
  density.update(at::zeros({1, 2}, at::kLong), 100);
  EXPECT_EQ(density.dead_share(), std::vector<double>{1.0});
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

TEST(Exchange, GradientsReachTheirOwnersAddedInShardOrderWhateverTravelsAtATime) {
  constexpr int64_t kShards = 4;
  const auto zeros = [] {
    return std::vector<architectures::Parameter>{{"w", at::zeros({11, 72})},
                                                 {"b", at::zeros({208})}};
  };
  const auto parameters = zeros();
  const FlatLayout layout(parameters, kShards);
  std::vector<FlatBuffer> partials;  // all S shards'
  for (int64_t s = 0; s < kShards; ++s) {
    partials.emplace_back(parameters, layout);
    partials.back().whole().copy_(at::linspace(1.0, std::pow(10.0, double(s)), 1000));
  }
  at::Tensor expected = partials[0].whole().clone();
  for (int64_t s = 1; s < kShards; ++s) {
    expected.add_(partials[static_cast<size_t>(s)].whole());
  }
  for (const int ranks : {1, 2, 4}) {
    for (const int64_t travelling : {100, 256, 1 << 20}) {  // 100: the last piece is shorter
      run_ranks_as_threads(ranks, [&](Communicator& communicator) {
        Exchange exchange(communicator, kShards, travelling);
        std::vector<FlatBuffer> own;
        for (int64_t s = 0; s < exchange.local_shards(); ++s) {
          own.emplace_back(parameters, layout);
          own.back().whole().copy_(
              partials[static_cast<size_t>(exchange.first_shard() + s)].whole());
        }
        const at::Tensor total = exchange.reduce_to_owners(own);
        const Range owned = exchange.owned(layout);
        EXPECT_TRUE(at::equal(total, expected.narrow(0, owned.begin, owned.count())));
        const auto gathered = zeros();
        for (size_t p = 0; p < gathered.size(); ++p) {
          const Range part = layout.part(p, owned);
          gathered[p]
              .value.view(-1)
              .narrow(0, part.begin, part.count())
              .copy_(own.front().view(p).view(-1).narrow(0, part.begin, part.count()));
        }
        exchange.gather_from_owners(gathered, layout);
        EXPECT_TRUE(
            at::equal(at::cat({gathered[0].value.view(-1), gathered[1].value.view(-1)}), expected))
            << ranks << " ranks, " << travelling;
      });
    }
  }
}

TEST(Training, LearnsWithClipping) {
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
