// Malformed files are in tests/bad_inputs/yaml (tests/models/bad_inputs_test.cpp).
#include "common/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/common/sample_options.h"
#include "tests/support/expect_error.h"
#include "tests/support/files.h"
#include "tests/support/temp_folder.h"

namespace crossloom {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

SampleOptions parsed(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  SampleOptions options;
  read_options_text(options, yaml, "test.yaml", overrides);
  return options;
}

TEST(Options, ReadsEveryKindOfField) {
  const SampleOptions options =
      parsed("steps: 7\nname: a b\noptimiser:\n  rate: 1e-3\n  fused: false\n  skip: [x, y]\n");
  EXPECT_EQ(options.steps, 7);
  EXPECT_EQ(options.name, "a b");
  EXPECT_EQ(options.optimiser.rate, 1e-3);
  EXPECT_FALSE(options.optimiser.fused);
  EXPECT_THAT(options.optimiser.skip, ElementsAre("x", "y"));
}

TEST(Options, AbsentKeysKeepTheirDefaults) {
  for (const char* yaml : {"", "# nothing\n", "---\n", "optimiser:\n", "name: run\n"}) {
    const SampleOptions options = parsed(yaml);
    EXPECT_EQ(options.steps, 100);
    EXPECT_EQ(options.optimiser.rate, 3e-4);
  }
}

TEST(Options, EmptyTextAndListsCanBeGiven) {
  EXPECT_EQ(parsed("name: \"\"\n").name, "");
  EXPECT_EQ(parsed("name:\n").name, "");
  EXPECT_TRUE(parsed("optimiser: {skip: []}\n").optimiser.skip.empty());
  EXPECT_THAT(parsed("optimiser: {skip: one}\n").optimiser.skip, ElementsAre("one"));
}

TEST(Options, UnknownKeysNameTheNearestAndTheLine) {
  EXPECT_ERROR(ConfigError, "Did you mean 'steps'?", parsed("name: a\nstpes: 7\n"));
  EXPECT_ERROR(ConfigError, "test.yaml:2", parsed("name: a\nstpes: 7\n"));
  EXPECT_ERROR(ConfigError, "Did you mean 'optimiser.rate'?", parsed("optimiser: {rat: 1}\n"));
}

TEST(Options, DuplicateKeysAreRefused) {
  EXPECT_ERROR(ConfigError, "'steps' is given twice", parsed("steps: 1\nsteps: 2\n"));
  EXPECT_ERROR(ConfigError, "'optimiser.rate' is given twice",
               parsed("optimiser: {rate: 1, rate: 2}\n"));
}

TEST(Options, TypesAreChecked) {
  for (const char* value :
       {"1.5", "x", "[1]", "{a: 1}", "", "1e3", "0x10", "99999999999999999999"}) {
    EXPECT_ERROR(ConfigError, "a whole number", parsed(fmt::format("steps: {}\n", value)));
  }
  EXPECT_ERROR(ConfigError, "a number", parsed("optimiser: {rate: fast}\n"));
  EXPECT_ERROR(ConfigError, "a number", parsed("optimiser: {rate: 1.5x}\n"));
  EXPECT_ERROR(ConfigError, "true or false", parsed("optimiser: {fused: 2}\n"));
  EXPECT_ERROR(ConfigError, "text", parsed("name: [a]\n"));
  EXPECT_ERROR(ConfigError, "a list", parsed("optimiser: {skip: {a: 1}}\n"));
  EXPECT_ERROR(ConfigError, "not a map of keys", parsed("optimiser: 3\n"));
  EXPECT_ERROR(ConfigError, "not a map of keys", parsed("- steps\n"));
}

TEST(Options, OneDocumentOnly) {
  for (const char* yaml : {"steps: 1\n---\nsteps: 2\n", "{steps: 1},", "\"a\","}) {
    EXPECT_ERROR(ConfigError, "Something follows the configuration", parsed(yaml));
  }
  EXPECT_EQ(parsed("---\nsteps: 1\n...\n").steps, 1);
}

TEST(Options, OverridesComeLastAndNest) {
  const SampleOptions options =
      parsed("steps: 1\noptimiser: {rate: 1}\n",
             {"steps=2", "optimiser.rate=0.5", "optimiser.skip=[p, q]", "name=a=b", "steps=3"});
  EXPECT_EQ(options.steps, 3);
  EXPECT_EQ(options.optimiser.rate, 0.5);
  EXPECT_TRUE(options.optimiser.fused);
  EXPECT_THAT(options.optimiser.skip, ElementsAre("p", "q"));
  EXPECT_EQ(options.name, "a=b");
}

TEST(Options, BadOverridesAreNamed) {
  EXPECT_ERROR(ConfigError, "key=value", parsed("", {"steps"}));
  EXPECT_ERROR(ConfigError, "key=value", parsed("", {"=3"}));
  EXPECT_ERROR(ConfigError, "--set optimiser.rat=1", parsed("", {"optimiser.rat=1"}));
  EXPECT_ERROR(ConfigError, "Did you mean 'optimiser.rate'?", parsed("", {"optimiser.rat=1"}));
  EXPECT_ERROR(ConfigError, "a whole number", parsed("", {"steps.x=1"}));
  EXPECT_ERROR(ConfigError, "a whole number", parsed("", {"steps="}));
  EXPECT_ERROR(ConfigError, "not valid YAML", parsed("", {"name=[a"}));
}

TEST(Options, ResolvedYamlReadsBackToTheSameValues) {
  SampleOptions options;
  options.steps = std::numeric_limits<int64_t>::min();
  options.name = "a: 'b' \"c\" #d\n\t\x01 π\\";
  options.optimiser.rate = 0.1 + 0.2;
  options.optimiser.fused = false;
  options.optimiser.skip = {"", "- x", "null", "1"};
  const SampleOptions again = parsed(options_to_yaml(options));
  EXPECT_EQ(again.steps, options.steps);
  EXPECT_EQ(again.name, options.name);
  EXPECT_EQ(again.optimiser.rate, options.optimiser.rate);
  EXPECT_EQ(again.optimiser.fused, options.optimiser.fused);
  EXPECT_EQ(again.optimiser.skip, options.optimiser.skip);
  for (const double rate : {1.0, -0.0, 1e300, 5e-324, std::numeric_limits<double>::infinity()}) {
    options.optimiser.rate = rate;
    EXPECT_EQ(parsed(options_to_yaml(options)).optimiser.rate, rate);
  }
  options.optimiser.rate = std::nan("");
  EXPECT_TRUE(std::isnan(parsed(options_to_yaml(options)).optimiser.rate));
}

TEST(Options, HelpListsEveryFieldWithItsDefault) {
  const std::string help = options_help(SampleOptions{});
  EXPECT_THAT(help, HasSubstr("steps"));
  EXPECT_THAT(help, HasSubstr("100"));
  EXPECT_THAT(help, HasSubstr("optimiser.rate"));
  EXPECT_THAT(help, HasSubstr("0.0003"));
  EXPECT_THAT(help, HasSubstr("parameters without decay"));
  EXPECT_EQ(std::count(help.begin(), help.end(), '\n'), 5);
}

TEST(Options, FilesAreReadWithinLimits) {
  const test::TempFolder folder;
  SampleOptions options;
  test::put_file(folder.file("a.yaml"), "steps: 4\n");
  read_options(options, folder.file("a.yaml"), {"name=x"});
  EXPECT_EQ(options.steps, 4);
  EXPECT_EQ(options.name, "x");
  read_options(options, "", {"steps=5"});
  EXPECT_EQ(options.steps, 5);
  EXPECT_ERROR(ConfigError, "no such file", read_options(options, folder.file("absent"), {}));
  EXPECT_ERROR(ConfigError, "cannot be read", read_options(options, folder.path(), {}));
  test::put_file(folder.file("empty.yaml"), "");
  EXPECT_ERROR(ConfigError, "not empty", read_options(options, folder.file("empty.yaml"), {}));
  test::put_file(folder.file("large.yaml"), std::string(2 << 20, '#'));
  EXPECT_ERROR(ConfigError, "too large", read_options(options, folder.file("large.yaml"), {}));
  EXPECT_ERROR(ConfigError, "too large", read_options(options, "/dev/zero", {}));
}

TEST(Options, ChoicesAndMinima) {
  EXPECT_NO_THROW(require_one_of("kind", "a", {"a", "b"}));
  EXPECT_ERROR(ConfigError, "Did you mean 'topk'?",
               require_one_of("kind", "tokp", {"relu", "topk"}));
  EXPECT_NO_THROW(require_at_least("steps", 1, 1));
  EXPECT_ERROR(ConfigError, "at least 1", require_at_least("steps", 0, 1));
}

}  // namespace
}  // namespace crossloom
