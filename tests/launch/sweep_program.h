// What tests of the sweep command share: shards of a tiny model in a folder of the suite's own,
// sweep files for them, and the tables that come out.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "common/json_file.h"
#include "tests/support/files.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_host.h"

namespace crossloom::launch {

inline constexpr int kExitUsage = 2;
inline constexpr size_t kFileLimit_bytes = size_t{64} << 20;
inline const std::string kPrompts = CROSSLOOM_SOURCE_FOLDER "/launch/configs/prompts_tiny.jsonl";

class SweepProgram : public ::testing::Test {
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
      EXPECT_THAT(result.output, ::testing::HasSubstr(phrase));
    }
  }

  static inline test::TempFolder* folder_ = nullptr;
};

}  // namespace crossloom::launch
