// Every collective over MPI, at the rank count mpirun gives (tests/common/CMakeLists.txt).
#include <gtest/gtest.h>

#include <array>

#include "tests/common/communicator_checks.h"

namespace crossloom {
namespace {

TEST(MpiCommunicator, EveryCollective) {
  const auto communicator = make_mpi_communicator();
  EXPECT_STREQ(communicator->backend(), "mpi");
  check_communicator(*communicator);
}

TEST(MpiCommunicator, TwoCommunicatorsDoNotMix) {
  const auto first = make_mpi_communicator();
  const auto second = make_mpi_communicator();
  EXPECT_EQ(first->rank(), second->rank());
  check_scalars(*first);
  check_scalars(*second);
}

TEST(MpiCommunicator, Bf16IsRoundedOnce) {
  const auto c = make_mpi_communicator();
  uint16_t bits = float_to_bf16(c->rank() == 0 ? 256.0F : 1.0F);
  c->all_reduce(&bits, 1, DType::kBF16, ReduceOp::kSum);
  // float32 sums 256 + (R - 1) exactly; bf16 has steps of 2 from there.
  EXPECT_EQ(bits, float_to_bf16(255.0F + float(c->size())));
}

TEST(SingleCommunicator, EveryCollective) {
  check_communicator(*make_single_communicator());
}

}  // namespace
}  // namespace crossloom
