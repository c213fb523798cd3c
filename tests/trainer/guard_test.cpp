// What stops a run: each cause by name, a dump beside the checkpoints, and weights as they were.
#include <gtest/gtest.h>

#include <limits>

#include "common/hash.h"
#include "common/json_file.h"
#include "data/manifest.h"
#include "data/shard_writer.h"
#include "tests/support/expect_error.h"
#include "tests/trainer/training_helpers.h"
#include "trainer/initial_transcoder.h"
#include "trainer/non_finite.h"

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

TEST_F(Guarded, AnErrorBeyondAnyUseFromTheFirstStepOn) {
  Guard guard(options_);
  StepResult result = ordinary();
  result.fvu = {1.0, 190.0};
  EXPECT_NO_THROW(guard.check(result, 1));
  result.fvu = {1.0, 210.0};
  test::expect_error<Diverged>([&] { guard.check(result, 2); }, {"mean predictor", "highest_fvu"});
  options_.guard.highest_fvu = 0.0;
  EXPECT_NO_THROW(guard.check(result, 3));
}

TEST_F(Guarded, ALearningRateThatExplodesIsDivergenceNotBadData) {
  options_.transcoder.architecture = "plt-relu";
  options_.adam.clip_norm = 0.0;
  options_.adam.warmup_steps = 0;
  options_.adam.learning_rate = 10.0;
  run_ranks_as_threads(2, [&](Communicator& communicator) {
    EXPECT_THROW(test::run_training(options_, communicator), Diverged);
  });
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
  std::vector<at::Tensor> before;
  for (const auto& parameter : transcoder->parameters()) {
    before.push_back(parameter.value.clone());
  }
  const at::Tensor nobody = at::zeros({3, 48}, at::kBool);
  batch.x[1][5][2] = kNaN;
  test::expect_error<Diverged>([&] { step.run(batch, 1, nobody); },
                               {"non-finite pre-activation", "layer 1, token 5"});
  batch = data::synthetic_rows(test::tiny_data(), 0, options_.loader.batch_tokens);
  batch.y[2][5][2] = kNaN;
  EXPECT_THROW(step.run(batch, 1, nobody), DataError);
  for (size_t p = 0; p < before.size(); ++p) {
    EXPECT_TRUE(at::equal(before[p], transcoder->parameters()[p].value));
  }
  const auto place = non_finite_place(batch);
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(*place, "target of layer 2, row 5 of the batch (document 0, position 6): nan");
  EXPECT_FALSE(non_finite_place(data::synthetic_rows(test::tiny_data(), 0, 8)).has_value());
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
  refused([](auto& o) { o.k_annealing.start = 49; }, {"k_annealing.start"});
  refused([](auto& o) { o.transcoder.features = -5; }, {"features"});
  refused([](auto& o) { o.adam.epsilon = 0.0; }, {"adam.epsilon"});
  refused([](auto& o) { o.loader.batch_tokens = 4000; }, {"fewer training rows"});
  refused([](auto& o) { o.loader.window_blocks = 0; }, {"window_blocks"});
  EXPECT_FALSE(std::filesystem::exists(options_.output));  // nothing was written
}

TEST_F(Guarded, InputsAndTargetsOfUnequalWidths) {
  data::ShardIdentity identity = data::synthetic_identity(test::tiny_data());
  identity.width_out = 24;
  const std::string folder = folder_.file("unequal");
  std::filesystem::create_directories(folder);
  const std::string name = "shard_00000.h5";
  data::ShardWriter writer(folder + "/" + name,
                           {.identity = identity, .rows = 64, .chunk_rows = 16});
  auto wide = test::tiny_data();
  wide.width = 24;
  data::Batch batch = data::synthetic_rows(test::tiny_data(), 0, 64);
  batch.y = data::synthetic_rows(wide, 0, 64).y;
  writer.append(batch);
  const std::string digest = hex(writer.finish());
  data::write_manifest(folder, {.complete = true,
                                .rows = 64,
                                .request = {{"synthetic", 1}},
                                .shards = {{.name = name, .rows = 64, .xxh3 = digest}}});
  options_.data = folder;
  options_.transcoder.architecture = "plt-topk-skip";
  test::expect_error<DataError>([&] { test::run_training(options_, *single_); },
                                {"different widths", "16", "24", "skip"});
}

}  // namespace
}  // namespace crossloom::trainer
