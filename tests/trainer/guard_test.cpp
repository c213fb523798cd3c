// What stops a run: each cause by name, a dump beside the checkpoints, and weights as they were.
#include <gtest/gtest.h>

#include <limits>

#include "common/json_file.h"
#include "tests/support/expect_error.h"
#include "tests/trainer/training_helpers.h"
#include "trainer/initial_transcoder.h"

namespace crossloom::trainer {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

class Guarded : public ::testing::Test {
 protected:
  void SetUp() override { data::write_synthetic_cache(folder_.file("shards"), test::tiny_data()); }

  test::TempFolder folder_;
  TrainOptions options_ = test::tiny_training(folder_.file("shards"), folder_.file("run"));
  std::unique_ptr<Communicator> single_ = make_single_communicator();
};

StepResult ordinary() {
  StepResult result;
  result.loss = result.reconstruction = 2.0;
  result.l0 = {3.0, 3.0};
  return result;
}

TEST_F(Guarded, ANumberThatIsNotFinite) {
  Guard guard(options_);
  StepResult result = ordinary();
  result.loss = kNaN;
  test::expect_error<Diverged>([&] { guard.check(result, 7); },
                               {"left the finite numbers", "step 7", "adam.learning_rate"});
  result = ordinary();
  result.gradient_norm = std::numeric_limits<double>::infinity();
  test::expect_error<Diverged>([&] { guard.check(result, 8); }, {"gradient norm inf"});
}

TEST_F(Guarded, ASpikeButNotASlowRise) {
  Guard guard(options_);
  StepResult result = ordinary();
  for (int64_t step = 1; step <= 60; ++step) {
    result.reconstruction *= 1.05;
    EXPECT_NO_THROW(guard.check(result, step));
  }
  result.reconstruction *= 2.0 * options_.guard.spike_factor;
  test::expect_error<Diverged>([&] { guard.check(result, 61); }, {"has jumped", "spike_factor"});
}

TEST_F(Guarded, APenaltyThatSilencesEverything) {
  options_.transcoder.architecture = "plt-jumprelu";
  options_.sparsity.weight = 1e5;
  options_.sparsity.ramp_share = 0.0;
  options_.sparsity.scale = 0.1;  // far from saturation: every code is pushed down
  options_.steps = 300;
  options_.transcoder.init.decoder = "uniform";
  options_.adam.learning_rate = 0.05;
  test::expect_error<Diverged>([&] { test::run_training(options_, *single_); },
                               {"silenced every feature", "sparsity.weight (100000)"});
  bool dumped = false;
  for (const auto& entry : std::filesystem::directory_iterator(options_.output)) {
    dumped = dumped || entry.path().filename().string().starts_with("stopped_at_step_");
  }
  EXPECT_TRUE(dumped);
}

TEST_F(Guarded, ANaNInTheBatchIsNamedAndNothingIsUpdated) {
  const data::ShardSet shards(options_.data);
  const data::Normalizer normalizer(shards.statistics());
  const auto transcoder = make_transcoder(options_, shards);
  Step step(*transcoder, normalizer, options_, *single_);
  data::Batch batch = data::synthetic_rows(test::tiny_data(), 0, options_.loader.batch_tokens);
  const at::Tensor before = step.weights().whole().clone();
  const at::Tensor nobody = at::zeros({3, 48}, at::kBool);
  batch.x[1][5][2] = kNaN;
  test::expect_error<DataError>([&] { step.run(batch, 1, nobody); },
                                {"non-finite pre-activation", "layer 1, token 5"});
  batch = data::synthetic_rows(test::tiny_data(), 0, options_.loader.batch_tokens);
  batch.y[2][5][2] = kNaN;
  EXPECT_THROW(step.run(batch, 1, nobody), DataError);
  EXPECT_TRUE(at::equal(before, step.weights().whole()));
}

TEST_F(Guarded, ImpossibleRecipesAreNamed) {
  const auto refused = [&](auto&& change, const std::vector<std::string>& phrases) {
    TrainOptions options = options_;
    change(options);
    test::expect_error<ConfigError>([&] { test::run_training(options, *single_); }, phrases);
  };
  refused([](auto& o) { o.sparsity.weight = std::numeric_limits<double>::infinity(); },
          {"sparsity.weight"});
  refused([](auto& o) { o.sparsity.weight = kNaN; }, {"sparsity.weight"});
  refused([](auto& o) { o.transcoder.k = 49; }, {"k is out of range", "48"});
  refused([](auto& o) { o.reconstruction = "mse"; }, {"reconstruction", "element_mean"});
  refused([](auto& o) { o.adam.decay = "step"; }, {"adam.decay"});
  refused([](auto& o) { o.transcoder.init.encoder_scale = 0.0; }, {"init.encoder_scale"});
  refused([](auto& o) { o.transcoder.init.encoder_scale = kNaN; }, {"init.encoder_scale"});
  for (const auto& prefixes : {std::vector<std::string>{"32", "16"}, {"0"}, {"48"}, {"many"}}) {
    refused([&](auto& o) { o.matryoshka.prefixes = prefixes; }, {"matryoshka.prefixes"});
  }
  refused(
      [](auto& o) {
        o.transcoder.architecture = "clt-relu";
        o.auxk.k = 4;
      },
      {"auxk.k", "topk"});
  refused(
      [](auto& o) {
        o.transcoder.architecture = "plt-relu";
        o.k_annealing.start = 20;
      },
      {"k_annealing.start"});
}

}  // namespace
}  // namespace crossloom::trainer
