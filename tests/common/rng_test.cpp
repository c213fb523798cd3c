#include "common/rng.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "tests/support/expect_error.h"

namespace crossloom {
namespace {

// Salmon et al., Random123, tests/kat_vectors, philox4x32 10: counter, key → output.
TEST(Rng, PhiloxKnownAnswers) {
  const Rng zeros(0, Purpose{0});
  EXPECT_EQ(zeros.bits(0),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const Rng ones(~uint64_t{0}, Purpose{~uint64_t{0}});
  EXPECT_EQ(ones.bits(~uint64_t{0}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  const Rng pi(0x299f31d0a4093822, Purpose{0x0370734413198a2e});
  EXPECT_EQ(pi.bits(0x85a308d3243f6a88),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, DrawsAreAFunctionOfSeedPurposeKeyAndIndex) {
  const Rng base(7, Purpose::kTest);
  EXPECT_EQ(base.bits(3), Rng(7, Purpose::kTest).bits(3));
  std::set<std::array<uint32_t, 4>> distinct;
  for (const Rng& rng : {base, Rng(8, Purpose::kTest), Rng(7, Purpose::kSampling), base.with(0),
                         base.with(1), base.with(0).with(1), base.with(1).with(0)}) {
    distinct.insert(rng.bits(3));
    distinct.insert(rng.bits(4));
  }
  EXPECT_EQ(distinct.size(), 14U);
}

TEST(Rng, PermutationIsABijection) {
  constexpr uint64_t kSizes[] = {1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 255, 257, 1000, 4097};
  for (const uint64_t n : kSizes) {
    for (uint64_t key = 0; key < 2; ++key) {
      const Rng rng = Rng(5, Purpose::kShuffleRows).with(key);
      std::vector<bool> hit(n, false);
      for (uint64_t i = 0; i < n; ++i) {
        const uint64_t image = rng.permute(i, n);
        ASSERT_LT(image, n);
        ASSERT_FALSE(hit[image]) << "n " << n << ", index " << i;
        hit[image] = true;
      }
    }
  }
}

TEST(Rng, PermutationMixes) {
  constexpr uint64_t kCount = 10'000;
  const Rng rng(5, Purpose::kShuffleRows);
  uint64_t fixed = 0;
  double correlation = 0.0;
  for (uint64_t i = 0; i < kCount; ++i) {
    const uint64_t image = rng.permute(i, kCount);
    fixed += image == i ? 1 : 0;
    correlation += (double(i) / kCount - 0.5) * (double(image) / kCount - 0.5);
  }
  EXPECT_LT(fixed, 10U);  // a random permutation has one fixed point on average
  // Standard deviation of the sum: sqrt(n) · 1/12.
  EXPECT_LT(std::abs(correlation), 5.0 * std::sqrt(double(kCount)) / 12.0);
}

TEST(Rng, PermutationOfHugeDomains) {
  const Rng rng(1, Purpose::kTest);
  for (const uint64_t n : {(uint64_t{1} << 40) + 1, (uint64_t{1} << 63) + 5, ~uint64_t{0}}) {
    EXPECT_LT(rng.permute(0, n), n);
    EXPECT_LT(rng.permute(n - 1, n), n);
    EXPECT_NE(rng.permute(0, n), rng.permute(1, n));
  }
  EXPECT_ERROR(InternalError, "index 3 of 3", rng.permute(3, 3));
  EXPECT_ERROR(InternalError, "index 0 of 0", rng.permute(0, 0));
}

struct Moments {
  double mean = 0.0;
  double variance = 0.0;
};

template <typename F>
Moments moments_of(int64_t count, F&& draw) {
  double sum = 0.0;
  double squares = 0.0;
  for (int64_t i = 0; i < count; ++i) {
    const double value = draw(static_cast<uint64_t>(i));
    sum += value;
    squares += value * value;
  }
  const double mean = sum / double(count);
  return {mean, squares / double(count) - mean * mean};
}

// Bounds are five standard deviations of each estimate; the draws are fixed by the seed.
TEST(Rng, UniformMoments) {
  constexpr int64_t kCount = 200'000;
  const Rng rng(11, Purpose::kTest);
  const double root = std::sqrt(double(kCount));
  for (const bool wide : {false, true}) {
    const Moments moments = moments_of(kCount, [&](uint64_t i) {
      const double value = wide ? rng.uniform_double(i) : double(rng.uniform(i));
      EXPECT_TRUE(value >= 0.0 && value < 1.0);
      return value;
    });
    EXPECT_NEAR(moments.mean, 0.5, 5.0 * std::sqrt(1.0 / 12.0) / root);
    EXPECT_NEAR(moments.variance, 1.0 / 12.0, 5.0 * std::sqrt(1.0 / 180.0) / root);
  }
}

TEST(Rng, NormalMoments) {
  constexpr int64_t kCount = 200'000;
  const Rng rng(12, Purpose::kTest);
  const double root = std::sqrt(double(kCount));
  const Moments moments = moments_of(kCount, [&](uint64_t i) { return double(rng.normal(i)); });
  EXPECT_NEAR(moments.mean, 0.0, 5.0 / root);
  EXPECT_NEAR(moments.variance, 1.0, 5.0 * std::sqrt(2.0) / root);
  const Moments fourth = moments_of(kCount, [&](uint64_t i) {
    const double value = rng.normal(i);
    return value * value * value * value;
  });
  EXPECT_NEAR(fourth.mean, 3.0, 5.0 * std::sqrt(96.0) / root);
}

}  // namespace
}  // namespace crossloom
