// A real sweep of tiny transcoders on a tiny model: table, plot and scores; interrupted and
// continued with the same table; a point that diverged is marked, on all ranks.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <limits>
#include <span>
#include <thread>

#include "common/folder_lock.h"
#include "common/hash.h"
#include "common/tensor_file.h"
#include "tests/launch/sweep_program.h"
#include "tests/support/xml_check.h"

namespace crossloom::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kExample = CROSSLOOM_SOURCE_FOLDER "/launch/configs/landscape_tiny.yaml";

class Sweep : public SweepProgram {};

TEST_F(Sweep, TheExampleEndsWithTableAndPlot) {
  const auto arguments =
      sweep(kExample, "example") +
      fmt::format(" --data {} --model {} --prompts {}", path("shards"), path("model"), kPrompts);
  const auto planned = test::crossloom(arguments + " --dry-run");
  ASSERT_EQ(planned.exit_code, 0) << planned.output;
  EXPECT_THAT(planned.output, HasSubstr("clt-topk.k-4.seed-2"));
  EXPECT_THAT(planned.output, HasSubstr("12 points: 12 new"));
  EXPECT_FALSE(fs::exists(path("example")));

  const auto result = test::crossloom(arguments);
  ASSERT_EQ(result.exit_code, 0) << result.output;
  const Json rows = table("example");
  ASSERT_EQ(rows.size(), 12U);
  for (const auto& row : rows) {
    const auto id = row["id"].get<std::string>();
    const bool graphed = id.rfind("clt-topk.k-4.", 0) == 0;
    EXPECT_NEAR(row["l0"].get<double>(), row["transcoder.k"].get<double>(), 0.1) << id;
    EXPECT_DOUBLE_EQ(row["l0_sum"].get<double>(), 3 * row["l0"].get<double>());
    EXPECT_LT(row["nmse"].get<double>(), 1.0) << id;
    EXPECT_GT(row["kl"].get<double>(), 0.0);
    EXPECT_GT(row["kl_mean_ablated"].get<double>(), 0.0);
    EXPECT_EQ(row["replacement_score"].is_number(), graphed) << id;
    EXPECT_EQ(row["completeness"].is_number(), graphed) << id;
    EXPECT_GT(row["seconds"].get<double>(), 0.0);
    EXPECT_THAT(result.output, HasSubstr(id));
    EXPECT_THAT(planned.output, HasSubstr(row["parameters"].dump() + " parameters"));
  }
  for (const auto& entry : fs::recursive_directory_iterator(path("example"))) {
    EXPECT_NE(entry.path().filename().string().rfind("step_", 0), 0U)
        << "weights: " << entry.path();
  }
  const auto svg = test::bytes_of_file(path("example") + "/pareto.svg");
  EXPECT_EQ(test::xml_problem(svg), "");
  size_t points = 0;
  for (size_t i = svg.find("class=\"point\""); i != std::string::npos;
       i = svg.find("class=\"point\"", i + 1)) {
    ++points;
  }
  EXPECT_EQ(points, 6U);  // seeds are averaged
  EXPECT_THAT(svg, HasSubstr("mean over 2 seeds"));

  const auto again = test::crossloom(arguments);
  EXPECT_EQ(again.exit_code, 0) << again.output;
  EXPECT_THAT(again.output, HasSubstr("12 points: 0 new, 0 started, 12 finished"));
  EXPECT_EQ(table("example"), rows);
}

/// Starts the program, kills it as soon as `when` exists.
void kill_when_exists(const std::string& arguments, const std::string& when) {
  const std::string command =
      fmt::format("exec {} {} > /dev/null 2>&1", CROSSLOOM_PROGRAM, arguments);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    ::_exit(127);
  }
  constexpr auto kLimit = std::chrono::seconds(120);
  const auto start = std::chrono::steady_clock::now();
  while (!fs::exists(when) && std::chrono::steady_clock::now() - start < kLimit) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(fs::exists(when));
  EXPECT_TRUE(WIFSIGNALED(status)) << "it had ended before";
}

TEST_F(Sweep, ContinuedAfterAKillGivesTheSameTable) {
  const auto file = write_sweep("kill.yaml", 300, "[2, 4, 6]");
  ASSERT_EQ(test::crossloom(sweep(file, "whole")).exit_code, 0);
  kill_when_exists(sweep(file, "broken"), point("broken", "a.k-4.seed-1") + "/step_25/DONE");
  EXPECT_EQ(table("broken").size(), 1U);  // a table there is already
  EXPECT_FALSE(fs::exists(point("broken", "a.k-4.seed-1") + "/result.json"));

  const auto planned = test::crossloom(sweep(file, "broken") + " --dry-run");
  EXPECT_THAT(planned.output, HasSubstr("3 points: 1 new, 1 started, 1 finished"));
  const auto continued = test::crossloom(sweep(file, "broken"));
  ASSERT_EQ(continued.exit_code, 0) << continued.output;
  EXPECT_THAT(continued.output, HasSubstr("resumed from"));
  EXPECT_THAT(continued.output, Not(HasSubstr("point 1 of 3")));
  EXPECT_EQ(lasting_table("broken"), lasting_table("whole"));
  EXPECT_EQ(table("broken").size(), 3U);
  EXPECT_EQ(test::bytes_of_file(path("broken") + "/pareto.svg"),
            test::bytes_of_file(path("whole") + "/pareto.svg"));
}

TEST_F(Sweep, RanksTrainTogetherAndAgreeOnErrors) {
  const auto file = write_sweep("ranks.yaml", 30, "[2, 4]",
                                fmt::format("model: {}\nprompts: {}\n", path("model"), kPrompts));
  auto yaml = test::bytes_of_file(file);
  yaml.replace(yaml.find("{name: a,"), 9, "{name: a, graphs: [1],");
  test::put_file(file, yaml);
  const auto together = test::crossloom_ranks(2, sweep(file, "together"));
  ASSERT_EQ(together.exit_code, 0) << together.output;
  const auto alone = test::crossloom(sweep(file, "alone"));
  ASSERT_EQ(alone.exit_code, 0) << alone.output;
  const Json a = table("alone"), b = table("together");
  ASSERT_EQ(a.size(), 2U);
  ASSERT_EQ(b.size(), 2U);
  constexpr double kClose = 0.02;  // ranks add in another order; the rest is the same
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_NEAR(a[i]["nmse"].get<double>(), b[i]["nmse"].get<double>(), kClose);
  }
  EXPECT_NEAR(a[1]["completeness"].get<double>(), b[1]["completeness"].get<double>(), kClose);

  write_sweep("ranks.yaml", 31, "[2, 4]", fmt::format("model: {}\n", path("model")));
  const auto refused = test::crossloom_ranks(2, sweep(file, "together"));
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_THAT(refused.output, HasSubstr("'a.k-2.seed-1' was made with other options"));
  EXPECT_NE(test::crossloom_ranks(2, sweep(path("absent.yaml"), "x")).exit_code, 0);
}

TEST_F(Sweep, ADivergedPointIsReportedAndTheOthersAreTrained) {
  const auto file = path("diverging.yaml");
  test::put_file(file, fmt::format("data: {}\n"
                                   "base:\n"
                                   "  steps: 120\n"
                                   "  loader: {{batch_tokens: 32, held_out_share: 0.2}}\n"
                                   "  transcoder: {{features: 24, k: 2}}\n"
                                   "entries:\n"
                                   "- {{name: a, vary: {{guard.spike_factor: [1, 20]}}}}\n",
                                   path("shards")));
  for (const char* state : {"new", "finished"}) {
    const auto result = test::crossloom(sweep(file, "diverging"));
    EXPECT_EQ(result.exit_code, 1) << state << result.output;
    for (const char* phrase :
         {"1 of 2 points diverged", "a.spike_factor-1.seed-1", "Remove a point's folder"}) {
      EXPECT_THAT(result.output, HasSubstr(phrase)) << state;
    }
    const Json rows = table("diverging");
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_TRUE(rows[0]["nmse"].is_null());
    EXPECT_FALSE(rows[0]["failed"].get<std::string>().empty());
    EXPECT_GT(rows[1]["nmse"].get<double>(), 0.0);
    EXPECT_TRUE(rows[1]["failed"].is_null());
  }
}

/// `weights.safetensors` with a NaN in it, as if training had left the numbers in its last step:
/// the manifest has its checksum.
void put_nan_into(const std::string& checkpoint) {
  const std::string file = checkpoint + "/weights.safetensors";
  std::string bytes = test::bytes_of_file(file);
  {
    const TensorFile tensors(std::as_bytes(std::span(bytes)), file);
    const auto* place = reinterpret_cast<const char*>(tensors.at("b_dec_0").bytes.data());
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(bytes.data() + (place - bytes.data()), &nan, sizeof(nan));
  }
  test::put_file(file, bytes);
  Json manifest = read_json_file(checkpoint + "/manifest.json", kFileLimit_bytes);
  for (auto& entry : manifest["files"]) {
    if (entry["name"] == "weights.safetensors") {
      entry["xxh3"] = hex(xxh3_of_file(file));
    }
  }
  test::put_file(checkpoint + "/manifest.json", manifest.dump());
}

TEST_F(Sweep, APointWithoutAFiniteErrorHasDiverged) {
  const auto file = write_sweep("nan.yaml", 20, "[2, 4]", "keep_weights: true\n");
  ASSERT_EQ(test::crossloom(sweep(file, "nan")).exit_code, 0);
  const auto damaged = point("nan", "a.k-2.seed-1");
  put_nan_into(damaged + "/step_20");
  for (const int ranks : {2, 1}) {
    fs::remove(damaged + "/result.json");
    fs::remove(point("nan", "a.k-4.seed-1") + "/result.json");
    const auto result = test::crossloom_ranks(ranks, sweep(file, "nan"));
    EXPECT_NE(result.exit_code, 0);
    EXPECT_THAT(result.output, HasSubstr("weights are not finite"));
    EXPECT_THAT(result.output, HasSubstr("1 of 2 points diverged"));
    const Json rows = table("nan");
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_TRUE(rows[0]["nmse"].is_null());
    EXPECT_GT(rows[1]["nmse"].get<double>(), 0.0);
  }
  Json older = read_json_file(damaged + "/result.json", kFileLimit_bytes);
  older.erase("failed");  // a program that did not look wrote null for NaN
  older["reconstruction"] = {{"nmse", nullptr}};
  test::put_file(damaged + "/result.json", older.dump());
  EXPECT_THAT(test::crossloom(sweep(file, "nan")).output, HasSubstr("1 of 2 points diverged"));
}

TEST_F(Sweep, TwoSweepsDoNotShareAFolder) {
  const auto file = write_sweep("locked.yaml", 20, "[2]");
  const FolderLock other(path("locked"));
  expect_refusal(test::crossloom(sweep(file, "locked")),
                 {"Another program works in this output folder", "locked"});
}

TEST_F(Sweep, WeightsAreKeptOnRequest) {
  const auto file = write_sweep("kept.yaml", 20, "[2]", "keep_weights: true\n");
  ASSERT_EQ(test::crossloom(sweep(file, "kept")).exit_code, 0);
  const auto weights = point("kept", "a.k-2.seed-1") + "/step_20/weights.safetensors";
  EXPECT_TRUE(fs::exists(weights));
  const auto whole = lasting_table("kept");
  fs::remove(point("kept", "a.k-2.seed-1") + "/result.json");  // as if killed while it evaluated
  ASSERT_EQ(test::crossloom(sweep(file, "kept")).exit_code, 0);
  EXPECT_EQ(lasting_table("kept"), whole);
  write_sweep("kept.yaml", 20, "[2]");  // what was kept stays
  ASSERT_EQ(test::crossloom(sweep(file, "kept")).exit_code, 0);
  EXPECT_TRUE(fs::exists(weights));
}

}  // namespace
}  // namespace crossloom::launch
