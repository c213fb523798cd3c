#include "data/shard_identity.h"

#include <gtest/gtest.h>

#include <functional>

#include "data/synthetic.h"
#include "tests/support/expect_error.h"

namespace crossloom::data {
namespace {

struct Difference {
  const char* what;
  std::function<void(ShardIdentity&)> change;
};

TEST(ShardIdentity, EveryDifferenceIsNamed) {
  const Difference differences[] = {
      {"another model", [](auto& id) { id.model_revision = "other"; }},
      {"another tokenizer", [](auto& id) { id.tokenizer_hash = "other"; }},
      {"another input hook", [](auto& id) { id.hook_in = "hook_resid_mid"; }},
      {"another output hook", [](auto& id) { id.hook_out = "other"; }},
      {"another BOS policy", [](auto& id) { id.bos_policy = bos_policy_name(7); }},
      {"another number of layers", [](auto& id) { id.layers = 99; }},
      {"another input width", [](auto& id) { id.width_in = 99; }},
      {"another target width", [](auto& id) { id.width_out = 99; }},
      {"another context length", [](auto& id) { id.context_len = 99; }}};
  const ShardIdentity expected = synthetic_identity({});
  EXPECT_NO_THROW(require_same(expected, expected, "here"));
  for (const auto& difference : differences) {
    ShardIdentity found = expected;
    difference.change(found);
    test::expect_error<DataError>([&] { require_same(expected, found, "some/shard.h5"); },
                                  {difference.what, "some/shard.h5"});
  }
}

TEST(ShardIdentity, ARenamedModelIsTheSameModel) {
  ShardIdentity renamed = synthetic_identity({});
  renamed.model = "elsewhere";
  EXPECT_NO_THROW(require_same(synthetic_identity({}), renamed, "here"));
}

}  // namespace
}  // namespace crossloom::data
