// The CUDA part as a file: it loads without a GPU and its table is the one this program knows. What
// needs a GPU is reported as skipped (benchmarks/README.md lists it as not yet run).
#include "common/cuda_part.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace crossloom {
namespace {

TEST(CudaPart, LoadsAndCountsGpus) {
  const CudaPartTable& part = load_cuda_part(CROSSLOOM_CUDA_PART);
  EXPECT_EQ(part.version, kCudaPartVersion);
  EXPECT_GE(part.device_count(), 0);
  ASSERT_NE(part.make_nccl, nullptr);
  ASSERT_NE(part.fvu_backward, nullptr);
}

TEST(CudaPart, WithoutAGpuNcclSaysSo) {
  const CudaPartTable& part = load_cuda_part(CROSSLOOM_CUDA_PART);
  if (part.device_count() > 0) {
    GTEST_SKIP() << "this machine has a GPU";
  }
  const auto single = make_single_communicator();
  Communicator* made = nullptr;
  const CudaFailure failure = part.make_nccl(single.get(), 0, &made);
  ASSERT_NE(failure, nullptr);
  EXPECT_NE(std::string(failure).find("CUDA call failed"), std::string::npos) << failure;
  EXPECT_EQ(made, nullptr);
}

TEST(CudaPart, AMissingFileIsNamed) {
  EXPECT_ERROR(ConfigError, "/nowhere/libcrossloom_cuda.so",
               load_cuda_part("/nowhere/libcrossloom_cuda.so"));
}

}  // namespace
}  // namespace crossloom
