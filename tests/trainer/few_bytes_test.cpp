// Training runs with weights and moments in few bytes: learning, clipping, resuming, threads,
// ranks.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "common/checkpoint_folder.h"
#include "tests/support/expect_error.h"
#include "tests/trainer/training_helpers.h"

namespace crossloom::trainer {
namespace {

constexpr double kMeanPredictor = 3.0;  // its loss: one for each layer

/// Rounding leaves a floor that shows where the exact run has fitted almost all (loss 0.06 of 3):
/// measured up to 0.034.
void expect_as_good(const TrainSummary& few, const TrainSummary& exact) {
  EXPECT_NEAR(few.last.reconstruction, exact.last.reconstruction,
              0.015 * kMeanPredictor + 0.1 * exact.last.reconstruction);
}

class FewBytes : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto data = test::tiny_data();
    data.width = 72;  // a whole block and a part of one
    data::write_synthetic_cache(folder_.file("shards"), data);
    options_ = test::tiny_training(folder_.file("shards"), folder_.file("run"));
    options_.weights = "bfloat16";
    options_.adam.states = GetParam();
    options_.adam.clip_norm = 0.0;
    options_.adam.learning_rate = 1e-2;
    options_.steps = 120;
  }
  TrainSummary train(const TrainOptions& options) {
    return test::run_training(options, *make_single_communicator());
  }

  test::TempFolder folder_;
  TrainOptions options_;
};

TEST_P(FewBytes, LearnsAsInFloat32) {
  for (const char* row : {"clt-topk", "plt-relu", "clt-incremental-topk-skip", "clt-jumprelu"}) {
    const ::testing::ScopedTrace trace(__FILE__, __LINE__, row);
    options_.transcoder.architecture = row;
    options_.output = folder_.file(fmt::format("few_{}", row));
    const auto few = train(options_);
    auto full = options_;
    full.weights = full.adam.states = "full";
    full.output = folder_.file(fmt::format("full_{}", row));
    const auto exact = train(full);
    expect_as_good(few, exact);
    EXPECT_LT(few.last.reconstruction, 0.8 * kMeanPredictor) << row;
  }
}

TEST_P(FewBytes, ResumesWithTheSameBitsOnAnyThreadCount) {
  test::enlarge(options_, folder_.file("large"), 72);
  options_.checkpoint_every_steps = 3;
  options_.keep_checkpoints = 9;
  const auto whole = train(options_);
  const std::string bytes = test::weight_bytes(whole.checkpoint);
  std::filesystem::remove_all(folder_.file("run") + "/step_6");
  const int threads = at::get_num_threads();
  at::set_num_threads(threads == 1 ? 2 : 1);
  const auto resumed = train(options_);
  at::set_num_threads(threads);
  EXPECT_EQ(resumed.last.loss, whole.last.loss);
  EXPECT_TRUE(test::weight_bytes(resumed.checkpoint) == bytes);
  auto other = options_;
  other.weights = "full";
  test::expect_error<ConfigError>([&] { train(other); }, {"weights", "bfloat16"});
}

TEST_P(FewBytes, WithoutAFirstMoment) {
  options_.adam.beta1 = 0.0;
  options_.adam.learning_rate = 3e-3;
  EXPECT_LT(train(options_).last.reconstruction, 2.4);
}

/// Weights and moments of one parameter, without biases: at most 4.2 bytes with 8-bit moments, 3.2
/// without a first one. Counted at 10⁷ parameters, since every row of D has the same.
TEST_P(FewBytes, KeepAsManyBytesPerParameterAsPromised) {
  const architectures::Parameter matrix{"W", at::zeros({16384, 640}, at::kBFloat16)};
  const auto bytes_with = [&](double beta1) {
    auto adam = options_.adam;
    adam.beta1 = beta1;
    const FlatLayout layout({matrix}, 1);
    const ParameterStates states({matrix}, layout, {0, layout.total()}, adam);
    return static_cast<double>(matrix.value.nbytes() + static_cast<size_t>(states.bytes())) /
           static_cast<double>(matrix.value.numel());
  };
  const double moment = GetParam() == "full"       ? 4.0
                        : GetParam() == "bfloat16" ? 2.0
                                                   : 1.0 + 4.0 / 64;
  EXPECT_NEAR(bytes_with(0.9), 2.0 + 2.0 * moment, 1e-12);
  EXPECT_NEAR(bytes_with(0.0), 2.0 + moment, 1e-12);
  if (GetParam() == "8bit") {
    EXPECT_LE(bytes_with(0.9), 4.2);
    EXPECT_LE(bytes_with(0.0), 3.2);
  }
}

TEST_P(FewBytes, EightBitsNeedALowerBoundOfTheSecondMoment) {
  options_.adam.beta2 = 0.8;  // < 0.9²
  if (GetParam() == "8bit") {
    test::expect_error<ConfigError>([&] { train(options_); }, {"8-bit moments", "beta1", "0.8"});
  } else {
    EXPECT_NO_THROW(check_train_options(options_, 1));
  }
}

TEST_P(FewBytes, AppliedAsTheyComeOrFromAVectorTheBitsAreTheSame) {
  for (const char* row : {"clt-topk", "plt-batchtopk-skip", "clt-jumprelu"}) {
    options_.transcoder.architecture = row;
    options_.output = folder_.file(fmt::format("applied_{}", row));
    const auto applied = train(options_);
    auto gathered = options_;
    gathered.adam.clip_norm = 1e30;  // never
    gathered.output = folder_.file(fmt::format("gathered_{}", row));
    EXPECT_TRUE(test::weight_bytes(train(gathered).checkpoint) ==
                test::weight_bytes(applied.checkpoint))
        << row;
  }
}

TEST_P(FewBytes, ClippedTheyLearnAsInFloat32) {
  options_.adam.clip_norm = 0.1;
  const auto few = train(options_);
  auto full = options_;
  full.weights = full.adam.states = "full";
  full.output = folder_.file("full");
  const auto exact = train(full);
  EXPECT_GT(exact.last.gradient_norm, full.adam.clip_norm);  // clipped to the last step
  expect_as_good(few, exact);
}

/// The clip's scale, squared, is no float32.
TEST_P(FewBytes, ClippedToNothingStaysFinite) {
  options_.adam.clip_norm = 1e-22;
  options_.steps = 3;
  const auto clipped = train(options_);
  EXPECT_TRUE(std::isfinite(clipped.last.loss));
}

/// On two ranks, then from their fifth step on four, then from the tenth of these on one: parts of
/// rows and of blocks change hands.
TEST_P(FewBytes, ResumeOnOtherRankCounts) {
  options_.deterministic = true;
  options_.adam.clip_norm = 1.0;
  options_.steps = 20;
  options_.checkpoint_every_steps = 5;
  options_.keep_checkpoints = 9;
  const auto alone = train(options_);
  const std::string bytes = test::weight_bytes(alone.checkpoint);
  options_.output = folder_.file("ranks");
  for (const auto& [ranks, resumed] : {std::pair{2, 0}, {4, 5}, {1, 10}}) {
    for (const auto& [step, folder] : checkpoint_folders(options_.output)) {
      if (step != resumed) {
        std::filesystem::remove_all(folder);
      }
    }
    run_ranks_as_threads(ranks, [&](Communicator& communicator) {
      const auto together = test::run_training(options_, communicator);
      EXPECT_EQ(together.last.loss, alone.last.loss);
      EXPECT_EQ(together.last.gradient_norm, alone.last.gradient_norm);
      EXPECT_TRUE(test::weight_bytes(together.checkpoint) == bytes)
          << "last on " << communicator.size();
    });
    EXPECT_TRUE(std::filesystem::exists(
        options_.output + fmt::format("/step_10/optimizer-{}.safetensors", ranks - 1)));
  }
}

/// Files of before said nothing about their range, which was all.
TEST_P(FewBytes, ResumeFromAFileThatNamesNoRange) {
  options_.steps = 20;
  options_.checkpoint_every_steps = 10;
  options_.keep_checkpoints = 9;
  const auto whole = train(options_);
  std::filesystem::remove_all(options_.output + "/step_20");
  const std::string moments = options_.output + "/step_10/optimizer-0.safetensors";
  {
    const TensorFile file(moments);
    EXPECT_FALSE(file.metadata().empty());
    std::vector<TensorToWrite> tensors;
    for (const auto& [name, entry] : file.tensors()) {
      tensors.push_back({name, entry.dtype, entry.shape, entry.bytes});
    }
    write_tensor_file(moments, tensors, {});
  }
  test::renew_checksum(options_.output + "/step_10", "optimizer-0.safetensors");
  EXPECT_EQ(train(options_).last.loss, whole.last.loss);
}

TEST_P(FewBytes, AreForFloat32) {
  options_.dtype = "float64";
  test::expect_error<ConfigError>([&] { train(options_); }, {"few bytes", "dtype: float32"});
}

INSTANTIATE_TEST_SUITE_P(States, FewBytes, ::testing::Values("full", "bfloat16", "8bit"),
                         [](const auto& states) {
                           return states.param == "8bit" ? std::string("bytes") : states.param;
                         });

}  // namespace
}  // namespace crossloom::trainer
