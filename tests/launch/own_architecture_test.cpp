// The installed package: an architecture from outside the tree is built against it, trained on two
// ranks and evaluated like any other.
#include <gtest/gtest.h>

#include "data/synthetic.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_folder.h"

namespace crossloom::launch {
namespace {

TEST(OwnArchitecture, BuildsAgainstTheInstalledPackageAndTrains) {
  const test::TempFolder folder;
  const std::string prefix = folder.file("prefix");
  const std::string build = folder.file("build");
  const auto expect_success = [](const std::string& command) {
    const auto result = test::run_shell(command);
    ASSERT_EQ(result.exit_code, 0) << command << "\n" << result.output;
  };
  expect_success(
      fmt::format("{} --install {} --prefix {}", CROSSLOOM_CMAKE, CROSSLOOM_BUILD, prefix));
  expect_success(
      fmt::format("{} -G Ninja -S {} -B {} -DCMAKE_PREFIX_PATH={} -DCMAKE_BUILD_TYPE=Release",
                  CROSSLOOM_CMAKE, CROSSLOOM_EXAMPLE, build, prefix));
  expect_success(fmt::format("{} --build {}", CROSSLOOM_CMAKE, build));
  data::write_synthetic_cache(folder.file("shards"), {});
  const std::string program = build + "/own_crossloom";
  const auto trained = test::run_shell(fmt::format(
      "{} -n 2 --oversubscribe --bind-to none {} train --data {} --output {} --steps 30 "
      "--loader.batch_tokens 32 --loader.held_out_share 0.2 --transcoder.architecture plt-groupmax "
      "--transcoder.features 32 --transcoder.k 4 --adam.learning_rate 0.01",
      CROSSLOOM_MPIEXEC, program, folder.file("shards"), folder.file("run")));
  EXPECT_EQ(trained.exit_code, 0) << trained.output;
  EXPECT_NE(trained.output.find("held-out NMSE 0."), std::string::npos) << trained.output;
  const auto evaluated = test::run_shell(
      fmt::format("{} eval {} --data {}", program, folder.file("run"), folder.file("shards")));
  EXPECT_EQ(evaluated.exit_code, 0) << evaluated.output;
  const auto refused = test::run_shell(fmt::format(
      "{} train --data {} --output {} --transcoder.architecture plt-groupmax --transcoder.features "
      "32 --transcoder.k 5",
      program, folder.file("shards"), folder.file("other")));
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_NE(refused.output.find("GroupMax needs groups of equal size"), std::string::npos);
}

}  // namespace
}  // namespace crossloom::launch
