// How work is dealt to threads: every item once, parts that cover everything, groups of passes with
// the bits that each has alone, layers screened side by side.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <stdexcept>
#include <vector>

#include "architectures/kernels/byte_products.h"
#include "architectures/kernels/estimates.h"
#include "architectures/kernels/feature_pass.h"
#include "architectures/kernels/ranges.h"
#include "architectures/kernels/screened_topk.h"
#include "architectures/topk.h"
#include "tests/architectures/kernel_cases.h"
#include "tests/support/threads.h"

namespace crossloom::architectures::test {
namespace {

using crossloom::test::Threads;

TEST(Deal, GivesEveryItemOnce) {
  for (const int threads : {1, 2, 3}) {
    const Threads these(threads);
    for (const int64_t count : {0, 1, 2, 7, 100}) {
      std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
      kernels::deal(count, [&](int64_t i) { ++calls[static_cast<size_t>(i)]; });
      for (const auto& called : calls) {
        EXPECT_EQ(called, 1);
      }
    }
  }
}

TEST(Deal, GivesEveryItemOnceWithinAnother) {
  const Threads two(2);
  std::vector<std::atomic<int>> calls(5 * 7);
  kernels::deal(5, [&](int64_t i) {
    EXPECT_EQ(kernels::threads_here(), 1);
    kernels::deal(7, [&](int64_t j) { ++calls[static_cast<size_t>(7 * i + j)]; });
  });
  for (const auto& called : calls) {
    EXPECT_EQ(called, 1);
  }
}

TEST(Deal, PassesOnWhatAnItemThrows) {
  const Threads two(2);
  const auto throw_at_3 = [](int64_t i) {
    if (i == 3) {
      throw std::runtime_error("item 3");
    }
  };
  EXPECT_THROW(kernels::deal(8, throw_at_3), std::runtime_error);
}

TEST(EqualParts, CoverAllFeaturesInOrder) {
  for (const Case& c : kCases) {
    const LayerCodes codes = crossloom::test::random_codes(c, 1, at::kFloat);
    const auto lists = kernels::group_by_feature(codes, codes.value, c.features);
    for (const int64_t parts : {1, 2, 5, 1000}) {
      const auto ranges = kernels::equal_parts(lists, parts);
      EXPECT_LE(std::ssize(ranges), parts);
      int64_t next = 0;
      for (const kernels::Range& range : ranges) {
        EXPECT_EQ(range.first, next);
        EXPECT_LT(range.first, range.last);
        next = range.last;
      }
      EXPECT_EQ(next, c.features);
    }
  }
}

TEST(EqualParts, AreAboutEqualInWork) {
  const LayerCodes codes = crossloom::test::random_codes({500, 800, 1, 40}, 1, at::kFloat);
  const auto lists = kernels::group_by_feature(codes, codes.value, 800);
  const auto ranges = kernels::equal_parts(lists, 4);
  ASSERT_EQ(ranges.size(), 4U);
  const auto* offsets = lists.offsets.const_data_ptr<int64_t>();
  const double fair = static_cast<double>(codes.count()) / 4.0;
  // A part's end is off by a feature's codes, about 12; features count by themselves, too.
  for (const kernels::Range& range : ranges) {
    EXPECT_NEAR(static_cast<double>(offsets[range.last] - offsets[range.first]), fair, 0.1 * fair);
  }
}

/// Three groups of unequal sizes, one without passes: gradient and reach of each pass.
struct Groups {
  explicit Groups(at::ScalarType type) {
    const Case sizes[] = {{300, 90, 130, 20}, {200, 700, 64, 9}};
    for (const Case& c : sizes) {
      const LayerCodes codes = crossloom::test::random_codes(c, 1, type);
      lists.push_back(kernels::group_by_feature(codes, codes.value, c.features));
      for (const uint64_t key : {2, 3}) {
        rows.push_back(random_tensor({c.tokens, c.columns}, type, key));
        tables.push_back(random_tensor({c.features, c.columns}, type, key + 2));
        gradients.push_back(at::zeros({c.features, c.columns}, type));
        reaches.push_back(at::zeros_like(codes.value));
      }
    }
  }
  kernels::FeaturePass pass(size_t i) const {
    return {.lists = lists[i / 2],
            .rows = rows[i],
            .gradient = gradients[i],
            .table = tables[i],
            .reach = reaches[i]};
  }

  std::vector<kernels::FeatureLists> lists;
  std::vector<at::Tensor> rows, tables, gradients, reaches;
};

TEST(PassGroups, SideBySideGiveTheBitsOfEachAlone) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    const Groups alone(type);
    kernels::run_feature_passes({alone.pass(0), alone.pass(1)});
    kernels::run_feature_passes({alone.pass(2), alone.pass(3)});
    for (const int threads : {1, 2, 5}) {
      const Threads these(threads);
      const Groups together(type);
      kernels::run_pass_groups(
          {{together.pass(0), together.pass(1)}, {}, {together.pass(2), together.pass(3)}});
      for (size_t i = 0; i < 4; ++i) {
        EXPECT_TRUE(same_bits(together.gradients[i], alone.gradients[i]));
        EXPECT_TRUE(same_bits(together.reaches[i], alone.reaches[i]));
      }
    }
  }
}

TEST(PassGroups, OfNothingDoNothing) {
  kernels::run_pass_groups({});
  kernels::run_pass_groups({{}, {}});
  kernels::run_feature_passes({});
}

TEST(PassGroups, RefuseTablesOfSeveralTypes) {
  const Groups groups(at::kFloat);
  kernels::FeaturePass other = groups.pass(2);
  other.table = other.table.to(at::kBFloat16);
  EXPECT_THROW(kernels::run_pass_groups({{groups.pass(0)}, {other}}), InternalError);
}

TEST(LayersAtOnce, AreAsManyAsThreadsWhereThatBusiesAll) {
  if (!kernels::has_byte_products()) {
    EXPECT_EQ(kernels::layers_at_once(30, 1024, 576, 2304), 1);
    GTEST_SKIP() << "no AVX-512 VNNI: layers are not screened";
  }
  const Threads two(2);
  EXPECT_EQ(kernels::layers_at_once(30, 1024, 576, 2304), 2);
  EXPECT_EQ(kernels::layers_at_once(3, 1024, 576, 2304), 1);  // one thread idle in round 2
  EXPECT_EQ(kernels::layers_at_once(1, 1024, 576, 2304), 1);
  EXPECT_EQ(kernels::layers_at_once(30, 4096, 576, int64_t{1} << 17),
            1);  // 2 GiB of estimates each
  const Threads one(1);
  EXPECT_EQ(kernels::layers_at_once(30, 1024, 576, 2304), 1);
}

/// A fixture of its own: without byte products layers go one after another.
class LayersSideBySide : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kernels::has_byte_products()) {
      GTEST_SKIP() << "no AVX-512 VNNI: layers are not screened";
    }
  }
  const Threads two_{2};
};

/// One layer of four is refused by the screen and goes through its whole product.
TEST_F(LayersSideBySide, GoWithoutTheScreenWhereItRefuses) {
  std::vector<EncoderProduct> layers;
  for (uint64_t l = 0; l < 4; ++l) {
    layers.push_back({.x = random_tensor({80, 64}, at::kFloat, 10 + l),
                      .weight = random_tensor({600, 64}, at::kFloat, 20 + l),
                      .bias = random_tensor({600}, at::kFloat, 30 + l),
                      .first_feature = 5});
  }
  layers[2].weight = layers[2].weight[0].expand({600, 64}).contiguous();
  layers[2].bias = at::full({600}, 100.0F);
  EXPECT_FALSE(
      kernels::screened_topk(layers[2].x, layers[2].weight, layers[2].bias, 4).has_value());
  const TopK topk(4, 605);
  const auto together = topk.propose_all(layers, Watch::kGradients);
  ASSERT_EQ(together.size(), layers.size());
  for (size_t l = 0; l < layers.size(); ++l) {
    const auto alone = topk.propose_from(static_cast<int64_t>(l), layers[l], Watch::kGradients);
    EXPECT_TRUE(at::equal(together[l].index, alone.index));
    EXPECT_TRUE(same_bits(together[l].value, alone.value));
    EXPECT_GE(together[l].index.min().item<int>(), 5);
  }
}

/// Whatever a layer's input holds is said of that layer.
TEST_F(LayersSideBySide, NameTheLayerThatIsNotFinite) {
  std::vector<EncoderProduct> layers;
  for (uint64_t l = 0; l < 4; ++l) {
    layers.push_back({.x = random_tensor({80, 64}, at::kFloat, 10 + l),
                      .weight = random_tensor({600, 64}, at::kFloat, 20 + l),
                      .bias = at::zeros({600}, at::kFloat)});
  }
  layers[3].x[7].fill_(std::numeric_limits<float>::quiet_NaN());
  try {
    TopK(4, 600).propose_all(layers, Watch::kGradients);
    FAIL() << "took NaN";
  } catch (const DataError& error) {
    EXPECT_THAT(error.screen(), ::testing::HasSubstr("layer 3, token 7"));
  }
}

}  // namespace
}  // namespace crossloom::architectures::test
