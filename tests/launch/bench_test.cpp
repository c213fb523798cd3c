// The two sides of `crossloom bench step` compute the same step for every row of the registry: same
// losses over several updates. And the command's file holds what it promises.
#include <gtest/gtest.h>

#include "benchmarks/eager_step.h"
#include "benchmarks/fast_step.h"
#include "common/json_file.h"
#include "tests/support/row_names.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_folder.h"

namespace crossloom::benchmarks {
namespace {

class BothSides : public ::testing::TestWithParam<std::string> {};

TEST_P(BothSides, HaveTheSameLosses) {
  const StepShape shape{.architecture = GetParam(),
                        .tokens = 96,
                        .layers = 3,
                        .width = 64,
                        .features = 80,
                        .kept = 5};
  const StepInputs inputs(shape);
  FastStep fast(shape, inputs);
  EagerStep eager(*bench_transcoder(shape, inputs), step_options(shape));
  double first = 0.0;
  for (int64_t step = 1; step <= 4; ++step) {
    const double loss = fast.run(inputs.batch, step);
    EXPECT_NEAR(loss, eager.run(inputs.x, inputs.y, step), 2e-5 * loss) << "step " << step;
    first = step == 1 ? loss : first;
    if (step == 4) {
      EXPECT_LT(loss, first);
    }
  }
  for (const auto& [name, stage_s] : fast.stages(inputs, 5)) {
    EXPECT_GT(stage_s, 0.0) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(EveryRow, BothSides,
                         ::testing::ValuesIn(architectures::Registry::instance().names()),
                         [](const auto& row) { return crossloom::test::test_name(row.param); });

TEST(BenchCommand, WritesWhatItMeasured) {
  const crossloom::test::TempFolder folder;
  const std::string file = folder.file("rows.json");
  const auto result = crossloom::test::crossloom(
      fmt::format("bench adam --layers 2 --width 64 --features 96 --repeats 2 --json {}", file));
  ASSERT_EQ(result.exit_code, 0) << result.output;
  const Json rows = read_json_file(file, 1 << 20);
  ASSERT_EQ(rows.size(), 1U);
  for (const char* key :
       {"name", "shape", "threads", "fast_s", "rate", "probe", "share_of_probe"}) {
    EXPECT_TRUE(rows[0].contains(key)) << key;
  }
  EXPECT_GT(rows[0]["rate"].get<double>(), 0.0);
}

TEST(BenchCommand, NamesWhatItDoesNotKnow) {
  const auto unknown = crossloom::test::crossloom("bench everything");
  EXPECT_NE(unknown.exit_code, 0);
  EXPECT_NE(unknown.output.find("step, encode, decode"), std::string::npos) << unknown.output;
  const auto too_many = crossloom::test::crossloom("bench step --k 99 --features 64");
  EXPECT_NE(too_many.exit_code, 0);
  EXPECT_NE(too_many.output.find("k is out of range"), std::string::npos) << too_many.output;
  const auto growing = crossloom::test::crossloom("bench step --beta1 2");
  EXPECT_EQ(growing.exit_code, 2);
  EXPECT_NE(growing.output.find("'beta1' is out of range"), std::string::npos) << growing.output;
}

/// 160 TB: beyond what an address space has, so no setting of the machine grants it.
TEST(Program, SaysInAFewLinesThatMemoryRanOut) {
  const auto result = crossloom::test::run_shell(
      "ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 " CROSSLOOM_PROGRAM
      " bench copy --layers 1 --tokens 1 --features 1 --k 1 --width 80000000000000");
  EXPECT_EQ(result.exit_code, 1);
  for (const char* phrase :
       {"OutOfMemory: There is not enough memory", "tried to allocate", "weights: bfloat16"}) {
    EXPECT_NE(result.output.find(phrase), std::string::npos) << result.output;
  }
  EXPECT_EQ(result.output.find("frame #"), std::string::npos) << result.output;
}

}  // namespace
}  // namespace crossloom::benchmarks
