#include "data/norm_statistics.h"

#include <gtest/gtest.h>

#include "data/synthetic.h"

namespace crossloom::data {
namespace {

// Sums of a few hundred float64 terms in another order.
constexpr double kRelative = 1e-12;

constexpr SyntheticOptions kOptions{.layers = 2, .width = 8, .rows = 300};

NormStatistics statistics_of(int64_t first, int64_t count) {
  auto result = NormStatistics::empty(2, 8, 8);
  add_rows(result, synthetic_rows(kOptions, first, count), "test");
  return result;
}

void expect_close(const std::vector<double>& a, const std::vector<double>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_NEAR(a[i], b[i], kRelative * (1.0 + std::abs(b[i]))) << i;
  }
}

TEST(NormStatistics, EqualsTheDefinition) {
  const auto found = statistics_of(0, 300);
  const Batch rows = synthetic_rows(kOptions, 0, 300);
  for (int64_t layer = 0; layer < 2; ++layer) {
    const at::Tensor y = rows.y[size_t(layer)].to(at::kDouble);
    const at::Tensor mean = y.mean(0);
    const at::Tensor m2 = (y - mean).square().sum(0);
    EXPECT_NEAR(found.targets.mean_norm[size_t(layer)], y.norm(2, 1).mean().item<double>(),
                kRelative);
    for (int64_t d = 0; d < 8; ++d) {
      const auto i = size_t(layer * 8 + d);
      EXPECT_NEAR(found.targets.mean[i], mean[d].item<double>(), kRelative);
      EXPECT_NEAR(found.targets.m2[i], m2[d].item<double>(), 1e-10);
    }
  }
}

TEST(NormStatistics, MergedEqualsSinglePass) {
  auto merged = NormStatistics::empty(2, 8, 8);
  int64_t done = 0;
  for (const int64_t count : {1, 0, 7, 130, 2, 160}) {
    merge(merged, count == 0 ? NormStatistics::empty(2, 8, 8) : statistics_of(done, count));
    done += count;
  }
  ASSERT_EQ(done, 300);
  const auto whole = statistics_of(0, 300);
  EXPECT_EQ(merged.count, 300);
  expect_close(merged.inputs.mean, whole.inputs.mean);
  expect_close(merged.inputs.m2, whole.inputs.m2);
  expect_close(merged.inputs.mean_norm, whole.inputs.mean_norm);
  expect_close(merged.targets.m2, whole.targets.m2);
}

/// A large common mean must not drown the variance: the naive Σx² − n·μ² would lose it all.
TEST(NormStatistics, SurvivesALargeMean) {
  auto found = NormStatistics::empty(1, 1, 1);
  for (int block = 0; block < 50; ++block) {
    Batch rows;
    rows.x.push_back(at::full({2, 1}, 30000.0, at::kBFloat16));
    rows.y.push_back(at::full({2, 1}, 30000.0, at::kBFloat16));
    rows.x[0][1][0] = 30080.0;
    add_rows(found, rows, "test");
  }
  const double low = at::full({1}, 30000.0, at::kBFloat16).item<double>();
  const double high = at::full({1}, 30080.0, at::kBFloat16).item<double>();
  EXPECT_NEAR(found.inputs.m2[0], 100.0 * (high - low) * (high - low) / 4.0, 1e-6);
  EXPECT_EQ(found.targets.m2[0], 0.0);
}

}  // namespace
}  // namespace crossloom::data
