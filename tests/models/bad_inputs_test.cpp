// Every file of tests/bad_inputs is read by its parser and must give the error that expected.json
// names: a new case is a new file and one line there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "common/json_file.h"
#include "common/mapped_file.h"
#include "common/tensor_file.h"
#include "models/model_spec.h"
#include "models/tokenizer.h"
#include "tests/common/sample_options.h"
#include "tests/support/expect_error.h"

namespace crossloom::models {
namespace {

const std::string kFolder = CROSSLOOM_TEST_FOLDER "/bad_inputs/";

Json expected_errors() {
  return read_json_file(kFolder + "expected.json", 1 << 20);
}

std::vector<std::string> file_names() {
  std::vector<std::string> names;
  const Json expected = expected_errors();
  for (const auto& [name, row] : expected.items()) {
    names.push_back(name);
  }
  return names;
}

/// Reads the file with the parser its folder is named after.
void read_file(const std::string& name) {
  const std::string path = kFolder + name;
  const std::string kind = name.substr(0, name.find('/'));
  if (kind == "safetensors") {
    const TensorFile file(path);
  } else if (kind == "tokenizer") {
    Tokenizer::load(path).encode("the text");
  } else if (kind == "config") {
    parse_model_spec(read_text_file(path, 1 << 20), path);
  } else if (kind == "yaml") {
    SampleOptions options;
    read_options(options, path, {});
  } else {
    FAIL() << "no parser for " << name;
  }
}

class BadInput : public ::testing::TestWithParam<std::string> {};

TEST_P(BadInput, GivesItsError) {
  const Json row = expected_errors()[GetParam()];
  try {
    read_file(GetParam());
    EXPECT_TRUE(row["error"].is_null()) << "nothing was thrown";
  } catch (const Error& error) {
    ASSERT_FALSE(row["error"].is_null()) << error.screen();
    EXPECT_EQ(error.kind(), row["error"].get<std::string>());
    EXPECT_THAT(error.screen(), ::testing::HasSubstr(row["phrase"].get<std::string>()));
    EXPECT_THAT(error.screen(), ::testing::HasSubstr(GetParam()));  // names the file
    EXPECT_FALSE(error.report().hint.empty());
  }
}

std::string test_name(const ::testing::TestParamInfo<std::string>& suite) {
  std::string name = suite.param;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Files, BadInput, ::testing::ValuesIn(file_names()), test_name);

TEST(BadInputs, TheListAndTheFolderAgree) {
  std::set<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kFolder)) {
    const std::string name = std::filesystem::relative(entry.path(), kFolder).string();
    if (entry.is_regular_file() && name.find('/') != std::string::npos &&
        name.find("__pycache__") == std::string::npos) {
      found.insert(name);
    }
  }
  const auto names = file_names();
  EXPECT_EQ(found, std::set<std::string>(names.begin(), names.end()));
  EXPECT_GE(names.size(), 100U);
}

}  // namespace
}  // namespace crossloom::models
