// The real program end to end on a tiny model: harvest → train → eval → graph on two ranks, then
// bad input of every kind: a one-screen error that names the thing, a non-zero exit on all ranks,
// and nothing good overwritten.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/json_file.h"
#include "eval/graph_json_check.h"
#include "tests/support/files.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_host.h"

namespace crossloom::launch {
namespace {

constexpr int kExitUsage = 2;
constexpr size_t kFileLimit_bytes = size_t{64} << 20;
constexpr double kRowResidual = 1e-5;  // design: float32

class Pipeline : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TempFolder;
    test::write_tiny_host(path("model"), 1);
    test::write_tiny_texts(path("text"));
    harvested_ = test::crossloom_ranks(2, harvest_arguments("shards"));
    trained_ = test::crossloom_ranks(2, train_arguments("run"));
  }
  static void TearDownTestSuite() { delete folder_; }

  static std::string path(const std::string& name) { return folder_->file(name); }
  static std::string harvest_arguments(const std::string& output) {
    return fmt::format("harvest {} --text {} --output {} --max_tokens 3000 --context_len 48",
                       path("model"), path("text"), path(output));
  }
  static std::string train_arguments(const std::string& output) {
    return fmt::format(
        "train --data {} --output {} --steps 20 --loader.batch_tokens 64 --transcoder.features 32 "
        "--transcoder.k 4 --loader.held_out_share 0.2",
        path("shards"), path(output));
  }
  static std::string graph_arguments(const std::string& prompt) {
    return fmt::format("graph {} --model {} --prompt '{}' --output {} --max_feature_nodes 40",
                       path("run"), path("model"), prompt, path("graphs"));
  }
  static void expect_failure(const test::ProgramResult& result,
                             const std::vector<std::string>& phrases) {
    EXPECT_NE(result.exit_code, 0) << result.output;
    for (const auto& phrase : phrases) {
      EXPECT_NE(result.output.find(phrase), std::string::npos) << "'" << phrase << "' is not in:\n"
                                                               << result.output;
    }
  }

  static test::TempFolder* folder_;
  static test::ProgramResult harvested_, trained_;
};

test::TempFolder* Pipeline::folder_ = nullptr;
test::ProgramResult Pipeline::harvested_;
test::ProgramResult Pipeline::trained_;

TEST_F(Pipeline, HarvestTrainEvalGraph) {
  ASSERT_EQ(harvested_.exit_code, 0) << harvested_.output;
  ASSERT_EQ(trained_.exit_code, 0) << trained_.output;
  const auto evaluated =
      test::crossloom_ranks(2, fmt::format("eval {} --data {} --model {} --windows 3", path("run"),
                                           path("shards"), path("model")));
  ASSERT_EQ(evaluated.exit_code, 0) << evaluated.output;
  const Json report = read_json_file(path("run") + "/eval.json", kFileLimit_bytes);
  EXPECT_LT(report["reconstruction"]["nmse"].get<double>(), 1.0);
  EXPECT_GT(report["replacement"]["tokens"].get<int64_t>(), 10);
  const auto graphed = test::crossloom(graph_arguments("hello world"));
  ASSERT_EQ(graphed.exit_code, 0) << graphed.output;
  const Json graph = read_json_file(path("graphs") + "/graph.json", kFileLimit_bytes);
  EXPECT_TRUE(eval::validate_graph_json(graph).empty());
  const Json scores = read_json_file(path("graphs") + "/graph.scores.json", kFileLimit_bytes);
  EXPECT_LE(scores["max_row_residual"].get<double>(), kRowResidual);
}

TEST_F(Pipeline, SecondStartReusesWhatIsThere) {
  const auto again = test::crossloom_ranks(2, train_arguments("run"));
  EXPECT_EQ(again.exit_code, 0) << again.output;
  EXPECT_NE(again.output.find("resumed"), std::string::npos) << again.output;
  const auto written = std::filesystem::last_write_time(path("shards") + "/manifest.json");
  EXPECT_EQ(test::crossloom_ranks(2, harvest_arguments("shards")).exit_code, 0);
  EXPECT_EQ(std::filesystem::last_write_time(path("shards") + "/manifest.json"), written);
}

TEST_F(Pipeline, TwoRanksHarvestWhatOneDoes) {
  ASSERT_EQ(test::crossloom(harvest_arguments("alone")).exit_code, 0);
  const auto train = [&](const char* shards, const char* output) {
    auto arguments = train_arguments(output);
    const std::string from = "--data " + path("shards");
    arguments.replace(arguments.find(from), from.size(), "--data " + path(shards));
    return test::crossloom(arguments + " --deterministic");
  };
  ASSERT_EQ(train("alone", "run_alone").exit_code, 0);
  ASSERT_EQ(train("shards", "run_together").exit_code, 0);
  std::ifstream a(path("run_alone") + "/metrics.jsonl"), b(path("run_together") + "/metrics.jsonl");
  std::string line_a, line_b;
  int compared = 0;
  while (std::getline(a, line_a) && std::getline(b, line_b)) {
    const Json x = Json::parse(line_a), y = Json::parse(line_b);
    EXPECT_EQ(x.value("loss", Json{}), y.value("loss", Json{}));
    compared += x.contains("loss") ? 1 : 0;
  }
  EXPECT_GE(compared, 2);
}

TEST_F(Pipeline, CalibratedRunsAreRunsAndWrongThresholdsAreNamed) {
  const auto calibrate = [&](const std::string& more) {
    return test::crossloom(
        fmt::format("calibrate {} --data {} {}", path("run"), path("shards"), more));
  };
  const auto made = calibrate("--output " + path("jumprelu"));
  ASSERT_EQ(made.exit_code, 0) << made.output;
  const auto evaluated = test::crossloom(
      fmt::format("eval {} --data {} --model {}", path("jumprelu"), path("shards"), path("model")));
  EXPECT_EQ(evaluated.exit_code, 0) << evaluated.output;
  expect_failure(calibrate("--output " + path("jumprelu")), {"already holds", "jumprelu"});
  const Json report = read_json_file(path("jumprelu") + "/calibration.json", kFileLimit_bytes);
  EXPECT_EQ(report["thresholds"].size(), 3U);
  const auto given = calibrate(
      fmt::format("--output {} --thresholds {}/calibration.json", path("given"), path("jumprelu")));
  ASSERT_EQ(given.exit_code, 0) << given.output;
  const Json again = read_json_file(path("given") + "/calibration.json", kFileLimit_bytes);
  EXPECT_EQ(again["thresholds"], report["thresholds"]);
  EXPECT_EQ(again["threshold_rule"], report["threshold_rule"]);
  test::put_file(path("thresholds.json"), R"({"thresholds": [1, 2]})");
  expect_failure(
      calibrate("--output " + path("other") + " --thresholds " + path("thresholds.json")),
      {"thresholds file", "3 layers", "2 entries"});
  test::put_file(path("thresholds.json"), "[1, 2, 3]");
  expect_failure(
      calibrate("--output " + path("other") + " --thresholds " + path("thresholds.json")),
      {"a bare list", "{\"thresholds\": ["});
  expect_failure(test::crossloom(fmt::format("calibrate {} --data {} --output {}", path("jumprelu"),
                                             path("shards"), path("other"))),
                 {"Only a selection", "clt-jumprelu"});
}

TEST_F(Pipeline, DamagedWeightsAreRefusedByName) {
  std::filesystem::copy(path("run"), path("bitten"), std::filesystem::copy_options::recursive);
  const auto weights = path("bitten") + "/step_20/weights.safetensors";
  auto bytes = test::bytes_of_file(weights);
  bytes[bytes.size() - 100] = static_cast<char>(bytes[bytes.size() - 100] ^ 1);
  test::put_file(weights, bytes);
  const std::vector<std::string> phrases{"DataError", "checksum", weights};
  expect_failure(
      test::crossloom_ranks(2, fmt::format("eval {} --data {}", path("bitten"), path("shards"))),
      phrases);
  expect_failure(test::crossloom(fmt::format("graph {} --model {} --prompt abc --output {}",
                                             path("bitten"), path("model"), path("graphs3"))),
                 phrases);
  expect_failure(test::crossloom(fmt::format("calibrate {} --data {} --output {}", path("bitten"),
                                             path("shards"), path("other"))),
                 phrases);
}

TEST_F(Pipeline, RefusedTrainingsWriteNothing) {
  const auto refused = [&](const std::string& more, const std::vector<std::string>& phrases) {
    const auto result = test::crossloom(train_arguments("refused") + " " + more);
    EXPECT_EQ(result.exit_code, kExitUsage);
    expect_failure(result, phrases);
    EXPECT_FALSE(std::filesystem::exists(path("refused"))) << more;
  };
  for (const char* dry : {"", " --dry-run"}) {
    refused(std::string("--set loader.batch_tokens=100000") + dry,
            {"fewer training rows", "loader.batch_tokens"});
    refused(std::string("--loader.window_blocks 0") + dry, {"window 0 blocks"});
    refused(std::string("--loader.prefetch_batches 0") + dry, {"loader.prefetch_batches"});
    refused(std::string("--transcoder.architecture clt-relu --k_annealing.start 8") + dry,
            {"k_annealing.start", "does not fit the architecture", "clt-relu"});
    refused(std::string("--transcoder.architecture clt-relu --auxk.k 8") + dry,
            {"auxk.k", "does not fit the architecture"});
  }
  refused("--loader.prefetch_batches 1000000000000",
          {"does not fit into memory", "peak memory of a rank", "weights: bfloat16"});
}

TEST_F(Pipeline, OutputsAreTriedBeforeTheWork) {
  test::put_file(path("file"), "not a folder");
  const auto refused = [&](const std::string& arguments) {
    const auto result = test::crossloom(arguments);
    expect_failure(result, {"DataError", "Cannot create a folder", path("file")});
    EXPECT_EQ(result.output.find("NMSE"), std::string::npos) << "it had measured before";
  };
  const auto place = path("file") + "/there";
  refused(fmt::format("eval {} --data {} --output {}", path("run"), path("shards"), place));
  refused(fmt::format("calibrate {} --data {} --output {}", path("run"), path("shards"), place));
  refused(fmt::format("graph {} --model {} --prompt abc --output {}", path("run"), path("model"),
                      place));
  refused(
      fmt::format("prompts {} --text {} --output {}/p.jsonl", path("model"), path("text"), place));
  refused("bench copy --layers 2 --width 64 --features 96 --repeats 2 --json " + place + "/b.json");
  EXPECT_EQ(test::bytes_of_file(path("file")), "not a folder");
}

TEST_F(Pipeline, DryRunsOpenWhatTheyRead) {
  const auto eval = fmt::format("eval {} --dry-run --data ", path("run"));
  const auto calibrate =
      fmt::format("calibrate {} --dry-run --output {} --data ", path("run"), path("dry"));
  const auto graph =
      fmt::format("graph {} --dry-run --prompt abc --output {} --model ", path("run"), path("dry"));
  for (const auto& [arguments, phrase] :
       {std::pair{eval + path("shards"), "held-out rows"},
        {eval + path("shards") + " --model " + path("model"), "at most 8 windows of 48 tokens"},
        {calibrate + path("shards"), "clt-jumprelu: thresholds from"},
        {graph + path("model"), " tokens, BOS included; at most 7500 features"}}) {
    const auto result = test::crossloom(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.output;
    EXPECT_NE(result.output.find(phrase), std::string::npos) << result.output;
  }
  for (const auto& start : {eval, calibrate, graph}) {
    expect_failure(test::crossloom(start + path("absent")), {path("absent")});
  }
  expect_failure(test::crossloom(eval + path("shards") + " --model " + path("absent")),
                 {path("absent")});
  expect_failure(test::crossloom(graph + path("model") + " --batch_size 0"), {"batch_size"});
  EXPECT_FALSE(std::filesystem::exists(path("dry")));
}

TEST_F(Pipeline, HelpOfEveryCommand) {
  const auto overview = test::crossloom("--help");
  EXPECT_EQ(overview.exit_code, 0);
  for (const char* command : {"harvest", "train", "eval", "graph", "sweep", "calibrate", "inspect",
                              "generate", "perplexity", "prompts", "bench"}) {
    EXPECT_NE(overview.output.find(command), std::string::npos);
    const auto help = test::crossloom(std::string(command) + " --help");
    EXPECT_EQ(help.exit_code, 0) << help.output;
    EXPECT_NE(help.output.find("--config"), std::string::npos) << help.output;
  }
}

TEST_F(Pipeline, HostModelCommands) {
  const auto inspected = test::crossloom("inspect " + path("model"));
  EXPECT_EQ(inspected.exit_code, 0) << inspected.output;
  EXPECT_NE(inspected.output.find("layers        L   3"), std::string::npos) << inspected.output;
  const auto generated =
      test::crossloom("generate " + path("model") + " --prompt abc --max_new_tokens 5");
  EXPECT_EQ(generated.exit_code, 0) << generated.output;
  const auto measured = test::crossloom("perplexity " + path("model") + " --text " + path("text") +
                                        " --context 32 --windows 4");
  EXPECT_EQ(measured.exit_code, 0) << measured.output;
  EXPECT_NE(measured.output.find("over 124 tokens"), std::string::npos) << measured.output;
}

TEST_F(Pipeline, WrongCommandLines) {
  auto result = test::crossloom("trian");
  EXPECT_EQ(result.exit_code, kExitUsage);
  expect_failure(result, {"trian", "Did you mean 'train'?"});
  result = test::crossloom("serve");
  expect_failure(result, {"There is no command 'serve'", "--help"});
  EXPECT_EQ(result.output.find("Did you mean"), std::string::npos) << "nothing is near";
  expect_failure(test::crossloom("train --stpes 3"), {"--stpes", "--steps"});
  expect_failure(test::crossloom("train --steps 3 --steps 4"),
                 {"--steps", "expected", "every option at most once"});
  expect_failure(test::crossloom(train_arguments("x") + " --set adam.learning_rat=1"),
                 {"adam.learning_rat", "adam.learning_rate"});
  std::ofstream(path("bad.yaml")) << "steps: 5\nloader:\n  batch_tokns: 3\n";
  result = test::crossloom_ranks(2, train_arguments("x") + " --config " + path("bad.yaml"));
  expect_failure(result, {"batch_tokns", "batch_tokens", "bad.yaml:3"});
  EXPECT_EQ(result.exit_code, kExitUsage);
  EXPECT_FALSE(std::filesystem::exists(path("x")));
}

TEST_F(Pipeline, SwitchesStandAloneOrTakeAValue) {
  const auto deterministic = [](const std::string& flags) {
    const auto result = test::crossloom(train_arguments("x") + " " + flags + " --dry-run");
    return result.output.find("deterministic: true") != std::string::npos;
  };
  EXPECT_FALSE(deterministic(""));
  EXPECT_TRUE(deterministic("--deterministic"));
  EXPECT_TRUE(deterministic("--deterministic true"));
  EXPECT_FALSE(deterministic("--deterministic false"));
}

TEST_F(Pipeline, MissingThings) {
  expect_failure(test::crossloom_ranks(
                     2, "harvest /nowhere --text " + path("text") + " --output " + path("y")),
                 {"/nowhere"});
  expect_failure(test::crossloom(graph_arguments("")), {"prompt is empty", "--prompt"});
  expect_failure(test::crossloom("graph /nowhere --model " + path("model") + " --prompt a"),
                 {"/nowhere"});
  std::filesystem::copy(path("model"), path("headless"));
  std::filesystem::remove(path("headless") + "/model.safetensors");
  expect_failure(test::crossloom("generate " + path("headless") + " --prompt a"),
                 {"no weights", "model.safetensors"});
}

TEST_F(Pipeline, ForeignModelIsRefused) {
  test::write_tiny_host(path("other"), 2);
  expect_failure(test::crossloom(fmt::format("graph {} --model {} --prompt abc --output {}",
                                             path("run"), path("other"), path("graphs2"))),
                 {"The run was trained on another model", path("other"), "--model"});
  EXPECT_FALSE(std::filesystem::exists(path("graphs2")));
  const auto evaluated = test::crossloom_ranks(
      2, fmt::format("eval {} --data {} --model {}", path("run"), path("shards"), path("other")));
  expect_failure(evaluated, {"The run was trained on another model", path("other")});
  EXPECT_EQ(evaluated.output.find("NMSE"), std::string::npos) << "it had measured before";
}

TEST_F(Pipeline, DamagedShardStopsAllRanks) {
  std::filesystem::copy(path("shards"), path("damaged"));
  std::string shard;
  for (const auto& entry : std::filesystem::directory_iterator(path("damaged"))) {
    if (entry.path().extension() == ".h5") {
      shard = entry.path().string();
    }
  }
  std::filesystem::resize_file(shard, std::filesystem::file_size(shard) / 2);
  auto arguments = train_arguments("z");
  const std::string from = "--data " + path("shards");
  arguments.replace(arguments.find(from), from.size(), "--data " + path("damaged"));
  expect_failure(test::crossloom_ranks(2, arguments),
                 {std::filesystem::path(shard).filename().string(), "DataError"});
  EXPECT_FALSE(std::filesystem::exists(path("z") + "/step_20"));
}

}  // namespace
}  // namespace crossloom::launch
