// The memory plan against what a run really takes at its peak.
#include "trainer/memory_plan.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include "architectures/parameter_count.h"
#include "common/process_memory.h"
#include "tests/trainer/training_helpers.h"

namespace crossloom::trainer {
namespace {

struct Case {
  const char* name;
  const char* weights;
  const char* states;
  double beta1;
  double clip_norm;
  int64_t auxk;
  int ranks = 1;  // threads of this process
};

class MemoryPlans : public ::testing::TestWithParam<Case> {
 protected:
  /// Tensors go back to the system when they are freed: none of an earlier run is used again.
  void SetUp() override { mallopt(M_MMAP_THRESHOLD, 1 << 20); }
};

TEST_P(MemoryPlans, AreWithinATenthOfTheMeasuredPeak) {
  const Case& c = GetParam();
  const test::TempFolder folder;
  auto data = test::tiny_data();
  data.width = 128;
  data::write_synthetic_cache(folder.file("shards"), data);
  auto options = test::tiny_training(folder.file("shards"), folder.file("run"));
  const bool few = std::string(c.weights) != "full";
  options.transcoder.features = few ? 65536 : 32768;  // 75 or 38 million parameters: what libraries
                                                      // keep for themselves is small beside them
  options.weights = c.weights;
  options.adam.states = c.states;
  options.adam.beta1 = c.beta1;
  options.adam.clip_norm = c.clip_norm;
  options.auxk.k = c.auxk;
  options.dead.min_density = 0.5;  // all are dead, so that AuxK has work
  options.steps = 2;
  const data::ShardSet shards(options.data);
  const architectures::TranscoderShape shape{shards.identity().layers, data.width,
                                             options.transcoder.features};
  const auto plan =
      plan_memory(options, shape, architectures::parameter_count(options.transcoder, shape),
                  loader_bytes(options.loader, shards, c.ranks), c.ranks);
  malloc_trim(0);  // what the tests before have freed
  const double before = resident_memory_bytes();
  if (before == 0.0 || !reset_peak_memory()) {
    GTEST_SKIP() << "this kernel does not tell a process its peak memory";
  }
  run_ranks_as_threads(
      c.ranks, [&](Communicator& communicator) { test::run_training(options, communicator); });
  const double planned = c.ranks * plan.total();
  EXPECT_NEAR((peak_memory_bytes() - before) / planned, 1.0, 0.1)
      << "planned " << planned << " bytes beside " << before << " before the run";
}

INSTANTIATE_TEST_SUITE_P(
    Runs, MemoryPlans,
    ::testing::Values(Case{"clipped", "full", "full", 0.9, 1.0, 0},
                      Case{"two_ranks", "full", "full", 0.9, 1.0, 0, 2},
                      Case{"applied", "full", "full", 0.9, 0.0, 0},
                      Case{"applied_with_auxk", "full", "full", 0.9, 0.0, 8},
                      Case{"halves", "bfloat16", "bfloat16", 0.9, 0.0, 0},
                      Case{"bytes", "bfloat16", "8bit", 0.9, 0.0, 0},
                      Case{"bytes_without_momentum", "bfloat16", "8bit", 0.0, 0.0, 0},
                      Case{"bytes_on_two_ranks", "bfloat16", "8bit", 0.9, 1.0, 0, 2}),
    [](const auto& runs) { return std::string(runs.param.name); });

}  // namespace
}  // namespace crossloom::trainer
