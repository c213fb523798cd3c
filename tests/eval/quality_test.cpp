// Reconstruction and the replacement model against their definitions.
#include <gtest/gtest.h>

#include "data/window_buffer.h"
#include "eval/reconstruction.h"
#include "eval/replacement.h"
#include "tests/support/tiny_shards.h"
#include "tests/support/tiny_transcoder.h"

namespace crossloom::eval {
namespace {

class Quality : public ::testing::Test {
 protected:
  data::SyntheticOptions data_{.layers = 3, .width = 24, .rows = 160};
  test::TinyShards cache_{data_};
  data::ShardSet shards_{cache_.folder()};
  std::unique_ptr<architectures::Transcoder> transcoder_ =
      test::random_transcoder("clt-topk", {3, 24, 20}, 4, at::kDouble);
  data::Normalizer normalizer_{shards_.statistics()};
};

TEST_F(Quality, NmseIsTheCentredFvuOfTheRows) {
  const auto split = data::split_rows(shards_, 0.3, 5);
  const auto single = make_single_communicator();
  const auto got =
      evaluate_reconstruction(*transcoder_, normalizer_, shards_, split.held_out, *single);
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < split.held_out.size(); ++i) {
    rows.push_back(split.held_out.row(i));
  }
  const auto batch = data::read_rows(shards_, rows);
  architectures::Codes codes;
  std::vector<at::Tensor> x(3), y_hat(3);
  for (int64_t l = 0; l < 3; ++l) {
    const auto i = static_cast<size_t>(l);
    x[i] = batch.x[i].to(at::kDouble) / normalizer_.sigma_in()[i];
    y_hat[i] = at::empty_like(x[i]);
    codes.push_back(transcoder_->filter(l, transcoder_->propose(l, x[i])));
  }
  transcoder_->decode(codes, x, {0, 24}, y_hat);
  for (size_t l = 0; l < 3; ++l) {
    const at::Tensor y = batch.y[l].to(at::kDouble) / normalizer_.sigma_out()[l];
    const double want =
        ((y - y_hat[l]).square().sum() / (y - y.mean(0)).square().sum()).item<double>();
    EXPECT_NEAR(got.nmse[l], want, 1e-12);
    EXPECT_NEAR(got.l0[l], double(codes[l].count()) / double(rows.size()), 1e-12);
  }
  for (const int ranks : {2, 3}) {
    run_ranks_as_threads(ranks, [&](Communicator& communicator) {
      const auto shared =
          evaluate_reconstruction(*transcoder_, normalizer_, shards_, split.held_out, communicator);
      EXPECT_EQ(shared.dead, got.dead);
      EXPECT_NEAR(shared.nmse[1], got.nmse[1], 1e-12);
    });
  }
}

TEST_F(Quality, MeanPredictorHasNmseOne) {
  for (const auto& parameter : transcoder_->parameters()) {
    parameter.value.zero_();
  }
  data::RowSelection all;
  all.append(0, shards_.rows());
  for (int64_t l = 0; l < 3; ++l) {
    const auto i = static_cast<size_t>(l);
    const at::Tensor mean =
        at::tensor(std::vector<double>(shards_.statistics().targets.mean.begin() + l * 24,
                                       shards_.statistics().targets.mean.begin() + (l + 1) * 24),
                   at::kDouble);
    architectures::find_parameter(*transcoder_, fmt::format("b_dec_{}", l))
        .copy_(mean / normalizer_.sigma_out()[i]);
  }
  const auto single = make_single_communicator();
  const auto got = evaluate_reconstruction(*transcoder_, normalizer_, shards_, all, *single);
  for (const double nmse : got.nmse) {
    EXPECT_NEAR(nmse, 1.0, 1e-9);
  }
}

/// A PLT whose decoder reproduces nothing but b_dec.
TrainedTranscoder constant_transcoder() {
  TrainedTranscoder trained{
      .folder = "",
      .transcoder = test::random_transcoder("plt-topk", {3, 24, 20}, 4, at::kDouble),
      .normalizer = data::Normalizer({1, 1, 1}, {1, 1, 1}),
      .identity = {},
      .loader = {},
      .target_mean = at::rand({3, 24}, at::kDouble)};
  trained.identity.hook_in = "mlp.hook_in";
  for (const auto& parameter : trained.transcoder->parameters()) {
    if (parameter.name.rfind("W_dec_", 0) == 0) {
      parameter.value.zero_();
    } else if (parameter.name.rfind("b_dec_", 0) == 0) {
      parameter.value.copy_(trained.target_mean[std::stoll(parameter.name.substr(6))]);
    }
  }
  return trained;
}

/// Replacing every MLP by its mean.
TEST(Replacement, OfAConstantTranscoderIsMeanAblation) {
  const auto model = test::make_tiny_model({}, at::kDouble);
  const TrainedTranscoder trained = constant_transcoder();
  const auto single = make_single_communicator();
  const std::vector<std::vector<models::TokenId>> windows = {{1, 5, 9, 20, 33}, {1, 2, 3, 4}};
  const ReplacementReference reference(model, windows, trained.target_mean, *single);
  EXPECT_TRUE(reference.serves(at::kDouble, windows, trained.target_mean.clone()));
  EXPECT_FALSE(reference.serves(at::kFloat, windows, trained.target_mean));
  EXPECT_FALSE(reference.serves(at::kDouble, {{1, 5, 9}}, trained.target_mean));
  EXPECT_FALSE(reference.serves(at::kDouble, windows, trained.target_mean + 1.0));
  const auto report = reference.evaluate(model, trained, *single);
  EXPECT_EQ(report.tokens, 5);
  EXPECT_GT(report.replaced.kl, 0.0);
  EXPECT_NEAR(report.replaced.kl, report.mean_ablated.kl, 1e-12);
  EXPECT_NEAR(report.replaced.cross_entropy, report.mean_ablated.cross_entropy, 1e-12);
}

TEST_F(Quality, WindowsOfRowsStartWithBosAndStayInOneDocument) {
  data::RowSelection all;
  all.append(0, shards_.rows());
  const auto windows = windows_of_rows(shards_, all, 1, 4);
  ASSERT_FALSE(windows.empty());
  for (const auto& window : windows) {
    EXPECT_EQ(window.front(), 1);
    EXPECT_GE(window.size(), 3U);
  }
  const auto rows = cache_.all_rows();
  for (size_t i = 1; i < windows[0].size(); ++i) {
    EXPECT_EQ(windows[0][i], rows.tokens[static_cast<int64_t>(i) - 1].item<int32_t>());
  }
}

}  // namespace
}  // namespace crossloom::eval
