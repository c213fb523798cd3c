// From a selection to thresholds: K features per token on the calibration rows, the same function
// above them, thresholds files of every wrong shape refused by name.
#include "eval/calibration.h"

#include <gtest/gtest.h>

#include "data/window_buffer.h"
#include "tests/support/expect_error.h"
#include "tests/support/files.h"
#include "tests/support/tiny_shards.h"
#include "tests/support/tiny_transcoder.h"

namespace crossloom::eval {
namespace {

constexpr int64_t kKept = 3;

class Calibration : public ::testing::Test {
 protected:
  data::SyntheticOptions data_{.layers = 3, .width = 24, .rows = 160};
  test::TinyShards cache_{data_};
  data::ShardSet shards_{cache_.folder()};
  test::TempFolder folder_;
  TrainedTranscoder trained_{
      .folder = "",
      .transcoder = test::random_transcoder("clt-batchtopk", {3, 24, 20}, 5, at::kDouble),
      .normalizer = data::Normalizer(shards_.statistics()),
      .identity = shards_.identity(),
      .loader = {},
      .target_mean = {}};
};

TEST_F(Calibration, AsManyFeaturesAsAskedForExceedTheThresholds) {
  data::RowSelection all;
  all.append(0, shards_.rows());
  const auto thresholds = calibrated_thresholds(trained_, shards_, all, kKept, shards_.rows());
  const auto converted = with_thresholds(
      *trained_.transcoder, at::tensor(thresholds, at::kDouble).unsqueeze(1).expand({3, 20}));
  EXPECT_EQ(converted->options().architecture, "clt-jumprelu");
  const auto batch = data::read_rows(shards_, data::spread_rows(all, shards_.rows()));
  for (int64_t l = 0; l < 3; ++l) {
    const auto& raw = batch.x[static_cast<size_t>(l)];
    at::Tensor x = at::empty(raw.sizes(), at::kDouble);
    trained_.normalizer.normalize_input(l, raw, x);
    const auto codes = converted->filter(l, converted->propose(l, x));
    // The threshold itself, the K·T-th value, does not exceed it; exp(log θ) may round below it.
    EXPECT_NEAR(double(codes.count()), double(kKept * shards_.rows()), 1.0);
    const at::Tensor h = trained_.transcoder->pre_activations(l, x);
    EXPECT_GT(codes.value.min().item<double>(), thresholds[static_cast<size_t>(l)] * (1 - 1e-12));
    EXPECT_EQ(codes.value.max().item<double>(), h.max().item<double>());
  }
}

TEST_F(Calibration, TooFewPositivePreActivationsAreNamed) {
  data::RowSelection all;
  all.append(0, shards_.rows());
  test::expect_error<DataError>(
      [&] { calibrated_thresholds(trained_, shards_, all, 20, shards_.rows()); },
      {"too few positive", "layer 0", "at least 20 per token"});
}

TEST_F(Calibration, ThresholdsFilesAreReadOrRefusedByName) {
  const auto read = [&](const std::string& text) {
    test::put_file(folder_.file("thresholds.json"), text);
    return read_thresholds(folder_.file("thresholds.json"), {3, 24, 2});
  };
  const at::Tensor mixed = read(R"({"thresholds": [0.5, [1, 2], 3]})");
  EXPECT_TRUE(
      at::equal(mixed, at::tensor({0.5, 0.5, 1.0, 2.0, 3.0, 3.0}, at::kDouble).view({3, 2})));
  const auto refused = [&](const std::string& text, const std::vector<std::string>& phrases) {
    test::expect_error<DataError>([&] { read(text); }, phrases);
  };
  refused(R"({"thresholds": [1, 2]})", {"does not fit", "3 layers", "2 entries"});
  refused(R"({"thresholds": [1, [1, 2, 3], 1]})", {"layer 1", "2 features", "3 numbers"});
  refused(R"({"thresholds": [1, 1, -1]})", {"layer 2", "positive", "-1"});
  refused(R"({"thresholds": [1, "x", 1]})", {"layer 1", "positive"});
  refused(R"({"theta": [1, 1, 1]})", {"\"thresholds\" lists 3 layers", "no such key"});
  refused("[1, 1, 1]", {"\"thresholds\" lists 3 layers", "a bare list", "{\"thresholds\": ["});
  refused(R"({"thresholds": 1})", {"\"thresholds\" lists 3 layers", "number"});
}

TEST_F(Calibration, WrittenThresholdsAreReadBackExactly) {
  const at::Tensor thresholds = at::rand({3, 20}, at::kDouble).add_(0.1);
  thresholds[1].fill_(1.0 / 3.0);
  const Json written = thresholds_json(thresholds);
  EXPECT_TRUE(written[0].is_array());
  EXPECT_TRUE(written[1].is_number());
  test::put_file(folder_.file("own.json"), Json{{"thresholds", written}, {"more", 1}}.dump());
  EXPECT_TRUE(at::equal(read_thresholds(folder_.file("own.json"), {3, 24, 20}), thresholds));
}

TEST_F(Calibration, ArchitecturesWithoutAJumpReluFormAreNamed) {
  const at::Tensor thresholds = at::ones({3, 20}, at::kDouble);
  const auto refused = [&](const char* name, const std::vector<std::string>& phrases) {
    const auto transcoder = test::random_transcoder(name, {3, 24, 20}, 4, at::kDouble);
    test::expect_error<ConfigError>([&] { with_thresholds(*transcoder, thresholds); }, phrases);
  };
  refused("clt-source-tied", {"no JumpReLU form", "clt-source-tied"});
  refused("clt-incremental-topk-affine", {"no JumpReLU form", "the affine types have none"});
  refused("plt-relu", {"Only a selection", "plt-relu"});
}

}  // namespace
}  // namespace crossloom::eval
