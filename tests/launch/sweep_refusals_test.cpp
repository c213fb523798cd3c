// What a sweep refuses before it trains anything, by name; and what may change in its file once
// some of its points have been made.
#include <filesystem>

#include "tests/launch/sweep_program.h"

namespace crossloom::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class SweepRefusals : public SweepProgram {};

TEST_F(SweepRefusals, AChangedPointIsRefusedByName) {
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
TEST_F(SweepRefusals, OptionsThatAPointDoesNotNameHadTheirDefaults) {
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

TEST_F(SweepRefusals, APointThatNeverMadeAStepMayChange) {
  const auto file = write_sweep("fresh.yaml", 20, "[2]");
  ASSERT_EQ(test::crossloom(sweep(file, "fresh")).exit_code, 0);
  fs::remove(point("fresh", "a.k-2.seed-1") + "/result.json");  // its weights are gone, too
  write_sweep("fresh.yaml", 21, "[2]");
  const auto planned = test::crossloom(sweep(file, "fresh") + " --dry-run");
  EXPECT_THAT(planned.output, HasSubstr("1 points: 1 new")) << planned.output;
  const auto result = test::crossloom(sweep(file, "fresh"));
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("step    21"));
}

TEST_F(SweepRefusals, ATrainedPointIsEvaluatedWithOtherOptions) {
  const auto file = write_sweep("again.yaml", 20, "[2]", "keep_weights: true\n");
  ASSERT_EQ(test::crossloom(sweep(file, "again")).exit_code, 0);
  fs::remove(point("again", "a.k-2.seed-1") + "/result.json");
  write_sweep("again.yaml", 21, "[2]");
  expect_refusal(test::crossloom(sweep(file, "again")), {"train.steps: 20", "train.steps: 21"});
  write_sweep("again.yaml", 20, "[2]", "windows: 2\nmodel: " + path("model") + "\n");
  const auto result = test::crossloom(sweep(file, "again"));
  ASSERT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("resumed from"));
  EXPECT_GT(table("again")[0]["kl"].get<double>(), 0.0);
}

TEST_F(SweepRefusals, NothingIsTrainedBeforeEverythingIsChecked) {
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
  refused("[2], loader.batch_tokens: [32, 100000]", "",
          {"batch_tokens-100000", "fewer training rows", "at least 100000"});
  refused("[2], loader.window_blocks: [8, 0]", "", {"window_blocks-0", "window 0 blocks"});
  refused("[2], loader.prefetch_batches: [2, -1]", "", {"loader.prefetch_batches", "at least 1"});
  refused("[2], transcoder.architecture: [clt-topk, clt-relu], k_annealing.start: [8]", "",
          {"architecture-clt-relu", "k_annealing.start", "does not fit the architecture"});
  refused("[2], transcoder.architecture: [clt-topk, plt-relu], auxk.k: [4]", "",
          {"architecture-plt-relu", "auxk.k", "does not fit the architecture"});
  refused("[2], loader.prefetch_batches: [2, 1000000000000]", "",
          {"prefetch_batches-1000000000000", "does not fit into memory", "available"});
  for (const char* option : {"desired_logit_prob: 2", "batch_size: 0", "max_n_logits: 0",
                             "update_interval: -2", "max_feature_nodes: -5"}) {
    const std::string key(option, std::string(option).find(':'));
    refused("[2]", fmt::format("attribution: {{{}}}\n", option),
            {"ConfigError", "attribution", key});
  }
  test::write_tiny_host(path("other"), 2);
  refused("[2]", "model: " + path("other") + "\n",
          {"DataError", "The shards were made with another model", path("other"), "--model"});
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
