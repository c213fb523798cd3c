// A real sweep of tiny transcoders on a tiny model: table, plot and scores; interrupted and
// continued with the same table; refused early by name, on all ranks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <sstream>
#include <thread>

#include "common/folder_lock.h"
#include "common/json_file.h"
#include "tests/support/files.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_host.h"
#include "tests/support/xml_check.h"

namespace crossloom::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kExitUsage = 2;
constexpr size_t kFileLimit_bytes = size_t{64} << 20;
const std::string kExample = CROSSLOOM_SOURCE_FOLDER "/launch/configs/landscape_tiny.yaml";
const std::string kPrompts = CROSSLOOM_SOURCE_FOLDER "/launch/configs/prompts_tiny.jsonl";

class Sweep : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TempFolder;
    test::write_tiny_host(path("model"), 1);
    test::write_tiny_texts(path("text"));
    const auto harvested = test::crossloom(
        fmt::format("harvest {} --text {} --output {} --max_tokens 3000 --context_len 48",
                    path("model"), path("text"), path("shards")));
    ASSERT_EQ(harvested.exit_code, 0) << harvested.output;
  }
  static void TearDownTestSuite() { delete folder_; }

  static std::string path(const std::string& name) { return folder_->file(name); }

  /// A sweep without a model: so many points, long enough to be interrupted.
  static std::string write_sweep(const std::string& name, int steps, const std::string& values,
                                 const std::string& more = "") {
    test::put_file(path(name), fmt::format("data: {}\n"
                                           "base:\n"
                                           "  steps: {}\n"
                                           "  checkpoint_every_steps: 25\n"
                                           "  loader: {{batch_tokens: 32, held_out_share: 0.2}}\n"
                                           "  transcoder: {{features: 24}}\n"
                                           "entries: [{{name: a, vary: {{transcoder.k: {}}}}}]\n{}",
                                           path("shards"), steps, values, more));
    return path(name);
  }
  static std::string sweep(const std::string& file, const std::string& output) {
    return fmt::format("sweep {} --output {}", file, path(output));
  }
  static std::string point(const std::string& output, const std::string& id) {
    return path(output) + "/points/" + id;
  }
  static Json table(const std::string& output) {
    return read_json_file(path(output) + "/table.json", kFileLimit_bytes)["rows"];
  }
  /// table.csv without its last column, the seconds.
  static std::string lasting_table(const std::string& output) {
    std::istringstream lines(test::bytes_of_file(path(output) + "/table.csv"));
    std::string kept;
    for (std::string line; std::getline(lines, line);) {
      kept += line.substr(0, line.rfind(',')) + "\n";
    }
    return kept;
  }
  static void expect_refusal(const test::ProgramResult& result,
                             const std::vector<std::string>& phrases) {
    EXPECT_EQ(result.exit_code, kExitUsage) << result.output;
    for (const auto& phrase : phrases) {
      EXPECT_THAT(result.output, HasSubstr(phrase));
    }
  }

  static test::TempFolder* folder_;
};

test::TempFolder* Sweep::folder_ = nullptr;

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

TEST_F(Sweep, AChangedPointIsRefusedByName) {
  const auto file = write_sweep("changed.yaml", 20, "[2]");
  ASSERT_EQ(test::crossloom(sweep(file, "changed")).exit_code, 0);
  write_sweep("changed.yaml", 21, "[2]");
  expect_refusal(test::crossloom(sweep(file, "changed")),
                 {"'a.k-2.seed-1' was made with other options", "train.steps: 20",
                  "train.steps: 21", "changed/points/a.k-2.seed-1"});
  write_sweep("changed.yaml", 20, "[2]", "windows: 3\n");  // without a model it decides nothing
  EXPECT_EQ(test::crossloom(sweep(file, "changed")).exit_code, 0);
  write_sweep("changed.yaml", 20, "[2]", "model: " + path("model") + "\n");
  expect_refusal(test::crossloom(sweep(file, "changed")),
                 {"measured: reconstruction\n", "measured: reconstruction, replacement"});

  write_sweep("changed.yaml", 20, "[2]");
  test::put_file(point("changed", "a.k-2.seed-1") + "/result.json", "{\"id\": ");
  const auto damaged = test::crossloom(sweep(file, "changed"));
  EXPECT_EQ(damaged.exit_code, 1) << damaged.output;
  EXPECT_THAT(damaged.output, HasSubstr("a.k-2.seed-1/result.json"));
  test::put_file(point("changed", "a.k-2.seed-1") + "/point.json", "{\"config\": 3}");
  const auto foreign = test::crossloom(sweep(file, "changed"));
  EXPECT_EQ(foreign.exit_code, 1) << foreign.output;
  EXPECT_THAT(foreign.output, HasSubstr("a.k-2.seed-1/point.json"));
}

/// As if a later version of the program had added them.
TEST_F(Sweep, OptionsThatAPointDoesNotNameHadTheirDefaults) {
  const auto file = write_sweep("older.yaml", 20, "[2]");
  ASSERT_EQ(test::crossloom(sweep(file, "older")).exit_code, 0);
  const auto place = point("older", "a.k-2.seed-1") + "/point.json";
  const auto without = [&](const char* key) {
    Json description = read_json_file(place, 1 << 20);
    EXPECT_EQ(description["config"].erase(key), 1U) << key;
    test::put_file(place, description.dump());
    return test::crossloom(sweep(file, "older"));
  };
  EXPECT_EQ(without("train.auxk.weight").exit_code, 0);
  expect_refusal(without("train.steps"), {"train.steps: 120", "train.steps: 20"});
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

TEST_F(Sweep, NothingIsTrainedBeforeEverythingIsChecked) {
  const auto refused = [&](const std::string& values, const std::string& more,
                           const std::vector<std::string>& phrases) {
    const auto file = write_sweep("bad.yaml", 20, values, more);
    const auto result = test::crossloom(sweep(file, "bad"));
    EXPECT_NE(result.exit_code, 0);
    for (const auto& phrase : phrases) {
      EXPECT_THAT(result.output, HasSubstr(phrase));
    }
    EXPECT_FALSE(fs::exists(path("bad")));
  };
  refused("[2, 25]", "", {"ConfigError", "point a.k-25.seed-1"});  // K > F
  refused("[2], loader.batch_tokens: [32, 0]", "", {"batch_tokens-0", "loader.batch_tokens"});
  refused("[2], loader.held_out_share: [0.2, 0]", "", {"held_out_share-0", "held out"});
  refused("[2], transcoder.architecture: [clt-topk, clt-tpk]", "",
          {"clt-tpk", "Did you mean 'clt-topk'?"});
  test::write_tiny_host(path("other"), 2);
  refused("[2]", "model: " + path("other") + "\n", {"DataError", "model"});
  const auto prompts = [&](const std::string& lines, const std::vector<std::string>& phrases) {
    test::put_file(path("prompts.jsonl"), lines);
    refused("[2]}, graphs: true, set: {steps: 9",
            fmt::format("model: {}\nprompts: {}\n", path("model"), path("prompts.jsonl")), phrases);
  };
  prompts("{\"prompt\": \"a\"}\n{\"prompt\": \"\"}\n", {"prompt does not fit", "0 tokens"});
  prompts("{\"prompt\": \"" + std::string(70, 'x') + "\"}\n", {"prompt does not fit", "70 tokens"});
  prompts("{\"prompt\": \"a\"}\n{\"text\": \"a\"}\n",
          {"prompts.jsonl, line 2", "unknown key 'text'"});
  prompts("", {"holds none"});
  expect_refusal(test::crossloom("sweep"), {"sweep file", "--file"});
  expect_refusal(test::crossloom("sweep " + path("absent.yaml")), {"absent.yaml"});
  expect_refusal(test::crossloom("sweep " + write_sweep("no.yaml", 20, "[2]")), {"--output"});
}

}  // namespace
}  // namespace crossloom::launch
