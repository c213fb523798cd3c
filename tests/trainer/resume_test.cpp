// Checkpoints: resuming equals never having stopped, bit for bit, also on another number of ranks;
// a death while one is written leaves the previous one loadable; damage and other options are
// refused.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>

#include "architectures/registry.h"
#include "common/checkpoint_folder.h"
#include "common/json_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/files.h"
#include "tests/trainer/training_helpers.h"

namespace crossloom::trainer {
namespace {

class Resume : public ::testing::Test {
 protected:
  void SetUp() override {
    data::write_synthetic_cache(folder_.file("shards"), test::tiny_data());
    options_ = test::tiny_training(folder_.file("shards"), folder_.file("run"));
  }
  TrainSummary train(const TrainOptions& options) {
    return test::run_training(options, *make_single_communicator());
  }
  /// Stops after `steps` of the 50: the schedule still runs to 50.
  TrainSummary train_until(int64_t steps, const std::string& output) {
    auto options = options_;
    options.output = output;
    options.checkpoint_every_steps = steps;
    options.keep_checkpoints = 100;
    const auto whole = train(options);
    for (const auto& [step, path] : checkpoint_folders(output)) {
      if (step > steps) {
        std::filesystem::remove_all(path);
      }
    }
    return whole;
  }

  test::TempFolder folder_;
  TrainOptions options_;
};

TEST_F(Resume, AtStep25EqualsNoInterruption) {
  const auto whole = train_until(25, folder_.file("run"));
  ASSERT_EQ(newest_checkpoint(folder_.file("run")), folder_.file("run") + "/step_25");
  const auto half = test::weight_bytes(folder_.file("run") + "/step_25");
  auto options = options_;
  const auto resumed = train(options);
  EXPECT_EQ(resumed.step, 50);
  EXPECT_EQ(resumed.last.loss, whole.last.loss);
  EXPECT_NE(test::weight_bytes(resumed.checkpoint), half);  // training did change something
  auto fresh = options_;
  fresh.output = folder_.file("fresh");
  EXPECT_TRUE(test::weight_bytes(resumed.checkpoint) ==
              test::weight_bytes(train(fresh).checkpoint));
}

/// Thresholds in use and learnt, annealed K, densities that AuxK and the pre-activation loss look
/// at.
TEST_F(Resume, KeepsWhatEveryKindOfRowRemembers) {
  for (const char* row :
       {"clt-topk", "plt-batchtopk-skip", "clt-jumprelu", "clt-incremental-relu"}) {
    auto options = options_;
    options.transcoder.architecture = row;
    options.dead.min_density = 0.05;
    const std::string activation = architectures::Registry::instance().row(row).activation;
    if (activation == "topk" || activation == "batchtopk") {
      options.auxk.k = 4;
      options.k_annealing.start = 20;
    } else {
      options.sparsity.weight = 0.01;
      options.pre_activation.weight = 1e-3;
      options.pre_activation.dead_only = true;
    }
    options.output = folder_.file(row);
    options.checkpoint_every_steps = 25;
    options.keep_checkpoints = 9;
    const auto whole = train(options);
    const auto bytes = test::weight_bytes(whole.checkpoint);
    std::filesystem::remove_all(options.output + "/step_50");
    const auto resumed = train(options);
    EXPECT_EQ(resumed.last.loss, whole.last.loss) << row;
    EXPECT_TRUE(test::weight_bytes(resumed.checkpoint) == bytes) << row;
  }
}

/// Takes an option out of a checkpoint, as if it were from before the option existed.
void forget_option(const std::string& checkpoint, const std::string& group,
                   const std::string& name) {
  const std::string config_path = checkpoint + "/config.yaml";
  YAML::Node config = YAML::LoadFile(config_path);
  config[group].remove(name);
  std::ofstream(config_path) << config;
  test::renew_checksum(checkpoint, "config.yaml");
}

TEST_F(Resume, AnOptionUnknownToTheCheckpointIsWhatTheProgramThenDid) {
  options_.transcoder.architecture = "plt-relu";
  options_.pre_activation.weight = 1e-3;
  options_.pre_activation.through_norms = false;
  train_until(25, folder_.file("run"));
  forget_option(folder_.file("run") + "/step_25", "pre_activation", "through_norms");
  forget_option(folder_.file("run") + "/step_25", "adam", "decay");  // had its default
  auto options = options_;
  options.pre_activation.through_norms = true;
  EXPECT_THROW(train(options), ConfigError);
  EXPECT_EQ(train(options_).step, 50);
}

TEST_F(Resume, ACheckpointFromBeforeTheCachesDigestIsTaken) {
  train_until(25, folder_.file("run"));
  const std::string path = folder_.file("run") + "/step_25/manifest.json";
  Json manifest = Json::parse(std::ifstream(path));
  ASSERT_EQ(manifest["identity"].erase("cache"), 1U);
  std::ofstream(path) << manifest;
  EXPECT_EQ(train(options_).step, 50);
}

TEST_F(Resume, OptionsOfATermWithoutWeightMayChange) {
  train_until(25, folder_.file("run"));
  options_.pre_activation.through_norms = false;
  EXPECT_EQ(train(options_).step, 50);
}

/// The last checkpoint is written before the last evaluation, which a second start makes up for.
TEST_F(Resume, AnEvaluationThatFailsLosesNothing) {
  const data::ShardSet shards(options_.data);
  int calls = 0;
  const Evaluate evaluate = [&](const architectures::Transcoder&, const data::Normalizer&) -> Json {
    if (++calls == 1) {
      throw DataError({.what = "A chunk is damaged",
                       .expected = "its checksum",
                       .got = "another",
                       .where = "a shard",
                       .hint = "Harvest it again."});
    }
    return {{"nmse", 0.5}};
  };
  const auto single = make_single_communicator();
  EXPECT_THROW(trainer::train(options_, shards, *single, evaluate), DataError);
  EXPECT_EQ(newest_checkpoint(options_.output), options_.output + "/step_50");
  EXPECT_EQ(trainer::train(options_, shards, *single, evaluate).held_out["nmse"], 0.5);
  trainer::train(options_, shards, *single, evaluate);
  EXPECT_EQ(calls, 2);  // it is there now
}

TEST_F(Resume, OnOtherRankCountsInTheDeterministicMode) {
  options_.deterministic = true;
  const auto whole = train_until(25, folder_.file("run"));
  for (const int ranks : {2, 4}) {
    const std::string output = folder_.file(fmt::format("ranks_{}", ranks));
    std::filesystem::copy(folder_.file("run"), output, std::filesystem::copy_options::recursive);
    auto options = options_;
    options.output = output;
    run_ranks_as_threads(ranks, [&](Communicator& communicator) {
      const auto resumed = test::run_training(options, communicator);
      EXPECT_EQ(resumed.last.loss, whole.last.loss);
    });
  }
}

TEST_F(Resume, NothingLeftToDo) {
  const auto whole = train(options_);
  const auto again = train(options_);
  EXPECT_EQ(again.step, 50);
  EXPECT_EQ(again.checkpoint, whole.checkpoint);
  EXPECT_TRUE(again.last.fvu.empty());
}

TEST_F(Resume, DeathWhileWritingLeavesThePreviousOne) {
  options_.checkpoint_every_steps = 1;
  options_.steps = 400;
  options_.keep_checkpoints = 2;
  for (int attempt = 0; attempt < 6; ++attempt) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      train(options_);
      _exit(0);
    }
    usleep(static_cast<useconds_t>(150'000 + 37'000 * attempt));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    if (newest_checkpoint(options_.output)) {
      const std::string found = find_checkpoint(options_.output);
      EXPECT_TRUE(checkpoint_problem(found).empty());
      EXPECT_FALSE(test::weight_bytes(found).empty());
    }
  }
  EXPECT_TRUE(newest_checkpoint(options_.output).has_value());
  options_.steps = 400;
  EXPECT_EQ(train(options_).step, 400);
}

TEST_F(Resume, UnfinishedAndCutOffCheckpointsArePassedOver) {
  options_.checkpoint_every_steps = 10;
  options_.keep_checkpoints = 3;
  train(options_);
  const std::string run = folder_.file("run");
  std::filesystem::remove(run + "/step_50/DONE");
  std::filesystem::resize_file(run + "/step_40/weights.safetensors", 100);
  EXPECT_EQ(newest_checkpoint(run), run + "/step_30");
}

TEST_F(Resume, FlippedByteIsNamed) {
  train(options_);
  const std::string path = folder_.file("run") + "/step_50/optimizer-0.safetensors";
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-1, std::ios::end);
  const char last = static_cast<char>(file.get() ^ 1);
  file.seekp(-1, std::ios::end);
  file.put(last);
  file.close();
  test::expect_error<DataError>([&] { train(options_); }, {"damaged", "optimizer-0"});
}

TEST_F(Resume, AnOptionNewerThanTheCheckpointHadItsDefault) {
  const auto whole = train_until(25, folder_.file("run"));
  const std::string checkpoint = folder_.file("run") + "/step_25";
  std::string config = test::bytes_of_file(checkpoint + "/config.yaml");
  const auto begin = config.find("matryoshka:");
  const auto end = config.find("k_annealing:");
  ASSERT_LT(begin, end);
  config.erase(begin, end - begin);
  std::ofstream(checkpoint + "/config.yaml") << config;
  test::renew_checksum(checkpoint, "config.yaml");
  EXPECT_EQ(train(options_).last.loss, whole.last.loss);
}

TEST_F(Resume, OtherOptionsAndOtherDataAreRefused) {
  train(options_);
  const std::string config = test::bytes_of_file(folder_.file("run") + "/config.yaml");
  auto other = options_;
  other.adam.learning_rate = 0.5;
  test::expect_error<ConfigError>([&] { train(other); }, {"adam.learning_rate", "0.5"});
  other = options_;
  other.matryoshka.prefixes = {"16"};
  test::expect_error<ConfigError>([&] { train(other); }, {"matryoshka.prefixes", "16"});
  auto more_layers = test::tiny_data();
  more_layers.layers = 4;
  data::write_synthetic_cache(folder_.file("other"), more_layers);
  other = options_;
  other.data = folder_.file("other");
  test::expect_error<ConfigError>([&] { train(other); }, {"layers", "4", "3"});
  auto other_rows = test::tiny_data();
  other_rows.noise = 0.02;
  data::write_synthetic_cache(folder_.file("same_model"), other_rows);
  other = options_;
  other.data = folder_.file("same_model");
  test::expect_error<ConfigError>([&] { train(other); }, {"other activations"});
  other = options_;
  other.resume = false;
  test::expect_error<ConfigError>([&] { train(other); }, {"already holds a checkpoint"});
  EXPECT_EQ(test::bytes_of_file(folder_.file("run") + "/config.yaml"), config);
}

}  // namespace
}  // namespace crossloom::trainer
