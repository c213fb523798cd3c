// The same global batches on 1, 2 and 4 ranks: the same bits in the deterministic mode, rounding
// differences only in the default mode. Each rank count is compared with a run alone.
#include <gtest/gtest.h>

#include <cmath>

#include "architectures/registry.h"
#include "tests/support/ranks.h"
#include "tests/support/row_names.h"
#include "tests/trainer/training_helpers.h"

namespace crossloom::trainer {
namespace {

constexpr double kAfterOneStep = 1e-6;     // relative, default mode (distributed.md 6.1)
constexpr double kAfterFiftySteps = 1e-3;  // relative

class RanksEqual : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    communicator_->agree([&] {
      if (communicator_->rank() == 0) {
        data::write_synthetic_cache(folder_.path() + "/shards", test::tiny_data());
      }
    });
    options_ = test::tiny_training(folder_.path() + "/shards", folder_.path() + "/together");
    options_.transcoder.architecture = GetParam();
    const auto& row = architectures::Registry::instance().row(GetParam());
    if (row.activation == "topk" || row.activation == "batchtopk") {
      options_.auxk.k = 4;
      options_.dead.min_density = 0.02;
      options_.k_annealing.start = 12;
    } else {
      options_.sparsity.weight = 0.01;
    }
    options_.pre_activation.weight = 1e-3;
    options_.start.firing_rate = 0.2;
    options_.matryoshka.prefixes = {"16"};
  }

  /// Together on all ranks; then on rank 0 alone. Sets losses and weights.
  void run_both() {
    together_ = test::run_training(options_, *communicator_);
    if (communicator_->rank() == 0) {
      auto alone = options_;
      alone.output = folder_.path() + "/alone";
      alone_ = test::run_training(alone, *make_single_communicator());
    }
  }

  std::unique_ptr<Communicator> communicator_ = test::world();
  test::SharedFolder folder_{*communicator_};
  TrainOptions options_;
  TrainSummary together_, alone_;
};

TEST_P(RanksEqual, BitsInTheDeterministicMode) {
  options_.deterministic = true;
  run_both();
  if (communicator_->rank() == 0) {
    EXPECT_EQ(together_.last.loss, alone_.last.loss);
    EXPECT_EQ(together_.last.gradient_norm, alone_.last.gradient_norm);
    EXPECT_TRUE(test::weight_bytes(together_.checkpoint) == test::weight_bytes(alone_.checkpoint));
  }
}

TEST_P(RanksEqual, RoundingOnlyInTheDefaultMode) {
  for (const auto& [steps, tolerance] :
       {std::pair<int64_t, double>{1, kAfterOneStep}, {50, kAfterFiftySteps}}) {
    options_.steps = steps;
    options_.output = folder_.path() + fmt::format("/default_{}", steps);
    run_both();
    if (communicator_->rank() == 0) {
      EXPECT_LE(std::abs(together_.last.loss - alone_.last.loss), tolerance * alone_.last.loss);
      EXPECT_LE(std::abs(together_.last.gradient_norm - alone_.last.gradient_norm),
                100.0 * tolerance * alone_.last.gradient_norm);  // of the summed gradients
      std::filesystem::remove_all(folder_.path() + "/alone");
    }
  }
}

TEST_P(RanksEqual, BitsInFewBytes) {
  options_.deterministic = true;
  options_.weights = "bfloat16";
  options_.adam.states = "8bit";
  run_both();
  if (communicator_->rank() == 0) {
    EXPECT_EQ(together_.last.loss, alone_.last.loss);
    EXPECT_TRUE(test::weight_bytes(together_.checkpoint) == test::weight_bytes(alone_.checkpoint));
  }
}

/// Large enough for the screen, whose candidates then depend on the shards.
TEST(RanksEqualScreened, BitsOfBatchTopK) {
  const auto communicator = test::world();
  const test::SharedFolder folder(*communicator);
  const std::string shards = folder.path() + "/shards";
  communicator->agree([&] {
    if (communicator->rank() == 0) {
      data::write_synthetic_cache(shards, test::large_data(24));
    }
  });
  auto options = test::tiny_training(shards, folder.path() + "/together");
  test::enlarge(options, shards);
  options.transcoder.architecture = "clt-batchtopk";
  options.deterministic = true;
  options.virtual_shards = 4;
  const auto together = test::run_training(options, *communicator);
  if (communicator->rank() == 0) {
    options.output = folder.path() + "/alone";
    const auto alone = test::run_training(options, *make_single_communicator());
    EXPECT_EQ(together.last.loss, alone.last.loss);
    EXPECT_TRUE(test::weight_bytes(together.checkpoint) == test::weight_bytes(alone.checkpoint));
  }
}

INSTANTIATE_TEST_SUITE_P(EveryRow, RanksEqual,
                         ::testing::ValuesIn(architectures::Registry::instance().names()),
                         [](const auto& row) { return test::test_name(row.param); });

}  // namespace
}  // namespace crossloom::trainer
