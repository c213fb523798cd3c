// The recipes in launch/configs/recipes: one per type of the landscape, each readable, each for the
// architecture it is named after, each a run that would start.
#include <gtest/gtest.h>

#include <filesystem>

#include "architectures/registry.h"
#include "tests/trainer/training_helpers.h"
#include "trainer/initial_transcoder.h"

namespace crossloom::launch {
namespace {

TEST(Recipes, EveryTypeOfTheLandscapeHasOneThatStarts) {
  const test::TempFolder folder;
  data::write_synthetic_cache(folder.file("shards"), test::tiny_data());
  const data::ShardSet shards(folder.file("shards"));
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(CROSSLOOM_RECIPES)) {
    trainer::TrainOptions options;
    read_options(options, entry.path().string(), {});
    options.data = folder.file("shards");
    options.output = folder.file("run");
    trainer::check_train_options(options, 1);
    EXPECT_EQ(options.transcoder.architecture, entry.path().stem().string());
    const auto transcoder = trainer::make_transcoder(options, shards);
    EXPECT_GT(transcoder->parameters().size(), 0U);
    ++found;
  }
  EXPECT_EQ(found, 11);
}

}  // namespace
}  // namespace crossloom::launch
