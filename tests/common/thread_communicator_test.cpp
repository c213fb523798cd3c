#include <gtest/gtest.h>

#include <atomic>

#include "tests/common/communicator_checks.h"
#include "tests/support/expect_error.h"

namespace crossloom {
namespace {

class ThreadRanks : public ::testing::TestWithParam<int> {};

TEST_P(ThreadRanks, EveryCollective) {
  std::atomic<int> ranks_seen = 0;
  run_ranks_as_threads(GetParam(), [&](Communicator& c) {
    EXPECT_EQ(c.size(), GetParam());
    EXPECT_STREQ(c.backend(), "thread");
    ranks_seen += 1 << c.rank();
    check_communicator(c);
  });
  EXPECT_EQ(ranks_seen, (1 << GetParam()) - 1);
}

TEST_P(ThreadRanks, ARankThatThrowsReleasesTheOthers) {
  std::atomic<int> released = 0;
  const auto run = [&] {
    run_ranks_as_threads(GetParam(), [&](Communicator& c) {
      if (c.rank() == GetParam() - 1) {
        throw DataError({.what = "bad shard", .expected = {}, .got = {}, .where = {}, .hint = {}});
      }
      try {
        c.barrier();
      } catch (const DistError&) {
        ++released;
        throw;
      }
    });
  };
  EXPECT_ERROR(DataError, "bad shard", run());
  EXPECT_EQ(released, GetParam() - 1);
}

TEST_P(ThreadRanks, AgreeRethrowsTheCauseToTheCaller) {
  for (int attempt = 0; attempt < 20; ++attempt) {
    EXPECT_ERROR(ConfigError, "bad key", run_ranks_as_threads(GetParam(), [&](Communicator& c) {
                   c.agree([&] {
                     if (c.rank() == GetParam() - 1) {
                       throw ConfigError(
                           {.what = "bad key", .expected = {}, .got = {}, .where = {}, .hint = {}});
                     }
                   });
                 }));
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, ThreadRanks, ::testing::Values(1, 2, 3, 4));

TEST(ThreadRanks, SumsAreAddedInRankOrder) {
  // (2^24 + 1) + 1 rounds twice down, 1 + 1 + 2^24 not at all: the order shows.
  run_ranks_as_threads(3, [](Communicator& c) {
    float ascending = c.rank() == 0 ? 0x1p24F : 1.0F;
    c.all_reduce(&ascending, 1, DType::kF32, ReduceOp::kSum);
    EXPECT_EQ(ascending, 0x1p24F);
    float descending = c.rank() == 2 ? 0x1p24F : 1.0F;
    c.all_reduce(&descending, 1, DType::kF32, ReduceOp::kSum);
    EXPECT_EQ(descending, 0x1p24F + 2.0F);
  });
}

TEST(ThreadRanks, Bf16IsRoundedOnce) {
  // 256 + 1 + 1 = 258 in float32; rounded after each step it would stay 256.
  run_ranks_as_threads(3, [](Communicator& c) {
    uint16_t bits = float_to_bf16(c.rank() == 0 ? 256.0F : 1.0F);
    c.all_reduce(&bits, 1, DType::kBF16, ReduceOp::kSum);
    EXPECT_EQ(bf16_to_float(bits), 258.0F);
  });
}

TEST(ThreadRanks, SizesThatDisagreeAreCaught) {
  const auto run = [] {
    run_ranks_as_threads(2, [](Communicator& c) {
      const std::vector<char> send(8);
      std::vector<char> receive(8);
      const std::vector<int64_t> out(2, c.rank() == 0 ? 4 : 3);
      const std::vector<int64_t> in(2, 4);
      c.all_to_all_v(send.data(), out, receive.data(), in);
    });
  };
  EXPECT_ERROR(InternalError, "sends 3 bytes", run());
}

TEST(SingleCommunicator, EveryCollective) {
  const auto communicator = make_single_communicator();
  EXPECT_STREQ(communicator->backend(), "single");
  check_communicator(*communicator);
}

}  // namespace
}  // namespace crossloom
