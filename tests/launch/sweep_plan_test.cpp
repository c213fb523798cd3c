// The sweep file: what it expands to, and everything that is refused before anything is trained.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launch/sweep_plan.h"
#include "tests/support/expect_error.h"

namespace crossloom::launch {
namespace {

using ::testing::ElementsAre;

std::vector<SweepPoint> expanded(const std::string& yaml) {
  return expand_sweep(read_sweep_text(yaml, "a.yaml"));
}

std::vector<std::string> ids(const std::vector<SweepPoint>& points) {
  std::vector<std::string> all;
  for (const auto& point : points) {
    all.push_back(point.id);
  }
  return all;
}

TEST(SweepPlan, EntriesOverrideBaseAndVary) {
  const auto points = expanded(R"(
data: shards
output: out
base: {steps: 7, transcoder: {features: 64, k: 3}, adam: {learning_rate: 1e-2}}
entries:
  - name: a
    set: {transcoder: {features: 96}}
    vary: {transcoder.k: [8, 16], adam.learning_rate: [1e-3, 2e-3]}
  - name: b
seeds: [4, 9]
)");
  EXPECT_THAT(ids(points),
              ElementsAre("a.k-8.learning_rate-1e-3.seed-4", "a.k-8.learning_rate-1e-3.seed-9",
                          "a.k-8.learning_rate-2e-3.seed-4", "a.k-8.learning_rate-2e-3.seed-9",
                          "a.k-16.learning_rate-1e-3.seed-4", "a.k-16.learning_rate-1e-3.seed-9",
                          "a.k-16.learning_rate-2e-3.seed-4", "a.k-16.learning_rate-2e-3.seed-9",
                          "b.seed-4", "b.seed-9"));
  const auto& options = points[7].options;
  EXPECT_EQ(options.steps, 7);
  EXPECT_EQ(options.transcoder.features, 96);
  EXPECT_EQ(options.transcoder.k, 16);
  EXPECT_EQ(options.adam.learning_rate, 2e-3);
  EXPECT_EQ(options.transcoder.seed, 9);
  EXPECT_EQ(options.loader.seed, 9);
  EXPECT_EQ(options.data, "shards");
  EXPECT_EQ(options.output, "out/points/a.k-16.learning_rate-2e-3.seed-9");
  EXPECT_TRUE(options.resume);
  EXPECT_EQ(points[7].varied[0], std::make_pair(std::string("transcoder.k"), std::string("16")));
  EXPECT_EQ(points[9].options.transcoder.features, 64);
  EXPECT_TRUE(points[9].varied.empty());
}

TEST(SweepPlan, AnEntryMayHaveSeedsOfItsOwn) {
  const auto points = expanded("entries: [{name: a, seeds: [3, 5]}, {name: b}]\nseeds: [4]\n");
  EXPECT_THAT(ids(points), ElementsAre("a.seed-3", "a.seed-5", "b.seed-4"));
}

TEST(SweepPlan, ValuesBecomePartsOfFolderNames) {
  const auto points = expanded(
      "entries: [{name: a, vary: {transcoder.architecture: [clt-topk, '../x y']}},\n"
      "          {name: b, vary: {deterministic: [true, false]}}, {name: c, vary:, set:}]");
  EXPECT_THAT(
      ids(points),
      ElementsAre("a.architecture-clt-topk.seed-1", "a.architecture-.._x_y.seed-1",
                  "b.deterministic-true.seed-1", "b.deterministic-false.seed-1", "c.seed-1"));
  EXPECT_EQ(points[1].options.transcoder.architecture, "../x y");
}

TEST(SweepPlan, GraphsOfSomeCombinationsForEverySeed) {
  const std::string head = "model: m\nprompts: p\nseeds: [1, 2]\nentries:\n";
  const auto chosen = [&](const std::string& graphs) {
    std::string marks;
    for (const auto& point :
         expanded(head + "  - {name: a, vary: {steps: [5, 6, 7]}, " + graphs + "}")) {
      marks += point.graphs ? '1' : '0';
    }
    return marks;
  };
  EXPECT_EQ(chosen("graphs: [1]"), "001100");
  EXPECT_EQ(chosen("graphs: [2, 0]"), "110011");
  EXPECT_EQ(chosen("graphs: true"), "111111");
  EXPECT_EQ(chosen("graphs: false"), "000000");
}

struct Refusal {
  const char* yaml;
  std::vector<std::string> phrases;
};

const std::vector<Refusal>& refusals() {
  static const std::vector<Refusal> all = {
      {"", {"says nothing", "a.yaml"}},
      {"- a", {"not a map"}},
      {"datas: x\nentries: [{name: a}]", {"'datas'", "Did you mean 'data'?", "a.yaml:1"}},
      {"entires: [{name: a}]", {"'entires'", "Did you mean 'entries'?"}},
      {"data: x", {"'entries' is not a list"}},
      {"entries: []", {"list of 'entries' is empty"}},
      {"entries: {name: a}", {"'entries' is not a list", "a map"}},
      {"entries: [7]", {"not a map", "entries[0]"}},
      {"entries: [{}]", {"no usable name"}},
      {"entries: [{name: a/b}]", {"no usable name", "a/b"}},
      {"entries: [{name: ..}]", {"no usable name"}},
      {"entries:\n  - name: a\n    very: {}",
       {"'entries[0].very'", "Did you mean 'entries[0].vary'?", "a.yaml:3"}},
      {"entries: [{name: a}, {name: a}]", {"same name", "a.yaml"}},
      {"base: {stpes: 3}\nentries: [{name: a}]", {"'base.stpes'", "Did you mean 'base.steps'?"}},
      {"base: {steps: x}\nentries: [{name: a}]", {"'base.steps'", "a whole number"}},
      {"base: {output: x}\nentries: [{name: a}]", {"'output' is set by the sweep", "a.yaml:1"}},
      {"base: {resume: false}\nentries: [{name: a}]", {"'resume' is set by the sweep"}},
      {"entries: [{name: a, set: {transcoder: {seed: 3}}}]",
       {"'transcoder.seed' is set by the sweep", "seeds", "entries.a.set.transcoder.seed"}},
      {"entries: [{name: a, set: {transcoder: {featurs: 3}}}]",
       {"entries.a.set.transcoder.featurs", "features"}},
      {"entries: [{name: a, vary: {loader.seed: [3]}}]", {"'loader.seed' is set by the sweep"}},
      {"entries: [{name: a, vary: [3]}]", {"'vary' is not a map"}},
      {"entries: [{name: a, vary: {transcoder.k: []}}]", {"'transcoder.k' is empty"}},
      {"entries: [{name: a, vary: {transcoder.k: 3}}]", {"'transcoder.k' is not a list", "3"}},
      {"entries: [{name: a, vary: {transcoder.k: [[3]]}}]", {"'transcoder.k'", "a list"}},
      {"entries: [{name: a, vary: {transcoder.kk: [3]}}]",
       {"entries.a.vary.transcoder.kk", "Did you mean 'entries.a.vary.transcoder.k'?"}},
      {"entries: [{name: a, vary: {trans.k: [3]}}]", {"'entries.a.vary.trans'", "transcoder"}},
      {"entries: [{name: a, vary: {transcoder: [3]}}]", {"not a map"}},
      {"entries: [{name: a, vary: {transcoder.k: [x]}}]",
       {"entries.a.vary.transcoder.k", "a whole number"}},
      {"entries: [{name: a, vary: {steps: [3], steps: [4]}}]", {"'steps' is varied twice"}},
      {"entries: [{name: a, vary: {steps: [3, 3]}}]", {"same options", "a.steps-3"}},
      {"entries: [{name: a, vary: {adam.beta1: [0.5, 5e-1]}}]",
       {"same options", "a.beta1-0.5 and a.beta1-5e-1"}},
      {"seeds: []\nentries: [{name: a}]", {"list of 'seeds' is empty"}},
      {"seeds: [1, 1]\nentries: [{name: a}]", {"seed is given twice"}},
      {"entries: [{name: a, seeds: []}]", {"list of 'seeds' is empty"}},
      {"entries: [{name: a, seeds: [2, 2]}]", {"seed is given twice"}},
      {"seeds: [-1]\nentries: [{name: a}]", {"Wrong number in 'seeds'", "-1"}},
      {"seeds: [x]\nentries: [{name: a}]", {"Wrong number in 'seeds'"}},
      {"entries: [{name: a, graphs: [0]}]", {"Graph scores need", "no model"}},
      {"model: m\nentries: [{name: a, graphs: true}]", {"Graph scores need", "no prompts"}},
      {"model: m\nprompts: p\nentries: [{name: a, graphs: [1]}]",
       {"Wrong number in 'graphs'", "0 to 0", "entries.a.graphs"}},
      {"model: m\nprompts: p\nentries: [{name: a, graphs: [0, 0]}]", {"named twice"}},
      {"entries: [{name: a, graphs: []}]", {"'graphs' is empty"}},
      {"entries: [{name: a}]\n---\n", {"follows"}},
      {"entries: [{name: a", {"not valid YAML"}},
      {"base: &b {steps: 3}\nentries: [{name: a, set: *c}]", {"not valid YAML"}},
  };
  return all;
}

TEST(SweepPlan, RefusalsNameKeyAndPlace) {
  for (const auto& refusal : refusals()) {
    SCOPED_TRACE(refusal.yaml);
    test::expect_error<ConfigError>([&] { expanded(refusal.yaml); }, refusal.phrases);
  }
}

TEST(SweepPlan, TooManyCombinationsAreRefused) {
  std::string many = "entries: [{name: a, vary: {";
  for (const char* key : {"steps", "virtual_shards", "keep_checkpoints", "report_every_steps"}) {
    many += std::string(key) + ": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], ";
  }
  EXPECT_ERROR(ConfigError, "too many combinations", expanded(many + "}}]"));
}

}  // namespace
}  // namespace crossloom::launch
