// TopK's two-phase selection: worked values, ties, sharding, bad input.
#include "architectures/topk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "architectures/encoder.h"
#include "common/error.h"
#include "tests/architectures/staged_step.h"

namespace crossloom::architectures::test {
namespace {

using ::testing::HasSubstr;

LayerCodes encode(const TopK& topk, const at::Tensor& h) {
  return topk.filter(0, topk.propose(0, h, 0, Watch::kNothing), std::nullopt);
}

std::vector<int32_t> kept(int64_t k, const at::Tensor& h) {
  const TopK topk(k, h.size(1));
  const LayerCodes codes = encode(topk, h);
  const auto* index = codes.index.const_data_ptr<int32_t>();
  return {index, index + codes.count()};
}

TEST(TopK, WorkedValues) {
  const at::Tensor h = at::tensor({1.0, 3.0, 3.0, -2.0, 2.0}, at::kDouble).unsqueeze(0);
  EXPECT_EQ(kept(1, h), (std::vector<int32_t>{1}));  // a tie goes to the lower index
  EXPECT_EQ(kept(2, h), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(kept(3, h), (std::vector<int32_t>{1, 2, 4}));
  EXPECT_EQ(kept(5, h), (std::vector<int32_t>{0, 1, 2, 4}));  // a negative entry is never kept
}

TEST(TopK, CandidatesCarryTheLayerWideIndexAndTiesGoToTheLower) {
  const at::Tensor h = at::tensor({2.0, 1.0, 2.0, 3.0, 2.0, 0.0}, at::kFloat).unsqueeze(0);
  const Candidates candidates = TopK(3, 6).propose(0, h, 100, Watch::kNothing);
  EXPECT_TRUE(at::equal(candidates.index, at::tensor({100, 102, 103}, at::kInt)));
  EXPECT_TRUE(at::equal(candidates.value, at::tensor({2.0F, 2.0F, 3.0F})));
}

TEST(TopK, ATokenMayBeEmpty) {
  const TopK topk(2, 3);
  const LayerCodes codes = encode(topk, at::full({2, 3}, -1.0F));
  EXPECT_EQ(codes.count(), 0);
  EXPECT_TRUE(at::equal(codes.offsets, at::zeros({3}, at::kLong)));
}

TEST(TopK, EqualsASortOfEveryRow) {
  const at::Tensor h = random_tensor({50, 300}, at::kFloat, 3);
  for (const int64_t k : {1, 2, 16, 299, 300}) {
    const TopK topk(k, 300);
    const LayerCodes codes = encode(topk, h);
    const auto selected = std::get<1>(at::topk(h, k, 1));
    const at::Tensor mask = at::zeros_like(h).scatter_(1, selected, 1.0);
    EXPECT_TRUE(at::equal(dense(codes, 300), at::relu(h) * mask)) << "k = " << k;
  }
}

TEST(TopK, WithKEqualToFIsReLU) {
  const at::Tensor h = random_tensor({20, 33}, at::kDouble, 4);
  const TopK topk(33, 33);
  const LayerCodes codes = encode(topk, h);
  EXPECT_TRUE(at::equal(dense(codes, 33), at::relu(h)));
}

TEST(TopK, KeepsAtMostKAscendingPositiveEntries) {
  const at::Tensor h = random_tensor({64, 40}, at::kFloat, 5);
  const TopK topk(7, 40);
  const LayerCodes codes = encode(topk, h);
  const auto* offsets = codes.offsets.const_data_ptr<int64_t>();
  const auto* index = codes.index.const_data_ptr<int32_t>();
  for (int64_t t = 0; t < 64; ++t) {
    EXPECT_LE(offsets[t + 1] - offsets[t], 7);
    for (int64_t j = offsets[t] + 1; j < offsets[t + 1]; ++j) {
      EXPECT_LT(index[j - 1], index[j]);
    }
  }
  EXPECT_GT(codes.value.min().item<float>(), 0.0F);
}

TEST(TopK, ProposalsOfFeatureHalvesMergeToTheWhole) {
  const TranscoderShape shape{.layers = 1, .width = 12, .features = 30};
  const Encoder encoder(shape, {}, at::kDouble);
  const at::Tensor x = random_tensor({25, 12}, at::kDouble, 6);
  for (const int64_t k : {1, 5, 20, 30}) {
    const TopK topk(k, 30);
    const auto part = [&](int64_t begin, int64_t end) {
      return topk.propose(0, encoder.product(0, x, {begin, end}).pre_activations(), begin,
                          Watch::kNothing);
    };
    const LayerCodes whole = topk.filter(0, part(0, 30), std::nullopt);
    const LayerCodes merged =
        topk.filter(0, merge_candidates({part(0, 11), part(11, 30)}), std::nullopt);
    EXPECT_TRUE(at::equal(whole.offsets, merged.offsets));
    EXPECT_TRUE(at::equal(whole.index, merged.index));
    EXPECT_LE(distance(whole.value, merged.value), 1e-14);  // another GEMM shape: rounding only
  }
}

TEST(TopK, ATieAcrossPartsGoesToTheLowerIndex) {
  const TopK topk(2, 4);
  const at::Tensor equal_pair = at::ones({1, 2}, at::kDouble);
  const auto upper = topk.propose(0, equal_pair, 2, Watch::kNothing);
  const auto lower = topk.propose(0, equal_pair, 0, Watch::kNothing);
  const LayerCodes codes = topk.filter(0, merge_candidates({upper, lower}), std::nullopt);
  EXPECT_TRUE(at::equal(codes.index, at::tensor({0, 1}, at::kInt)));
}

TEST(TopK, NonFinitePreActivationsAreRefusedByName) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    for (const auto type : {at::kFloat, at::kDouble}) {
      const at::Tensor h = random_tensor({40, 20}, type, 7);
      h.select(0, 33).select(0, 19).fill_(bad);
      try {
        TopK(3, 60).propose(5, h, 40, Watch::kNothing);
        FAIL() << "accepted " << bad;
      } catch (const DataError& error) {
        EXPECT_THAT(error.screen(), HasSubstr("non-finite pre-activation"));
        EXPECT_THAT(error.screen(), HasSubstr("layer 5, token 33 of the batch, feature 59"));
      }
    }
  }
}

TEST(TopK, KOutOfRangeIsAConfigError) {
  EXPECT_THROW(TopK(0, 4), ConfigError);
  EXPECT_THROW(TopK(-1, 4), ConfigError);
  EXPECT_THROW(TopK(5, 4), ConfigError);
}

}  // namespace
}  // namespace crossloom::architectures::test
