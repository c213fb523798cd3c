#include "data/shard_identity.h"

#include "common/error.h"

namespace crossloom::data {
namespace {

template <typename T>
void require_equal(const char* what, const T& expected, const T& found, const std::string& where) {
  if (expected != found) {
    throw DataError({.what = fmt::format("These shards were made with another {}", what),
                     .expected = fmt::format("{}", expected),
                     .got = fmt::format("{}", found),
                     .where = where,
                     .hint = "Use the shards that belong to this model and these options, or "
                             "harvest them into another folder."});
  }
}

std::string named_revision(const ShardIdentity& identity) {
  return fmt::format("{} (revision {})", identity.model, identity.model_revision);
}

}  // namespace

std::string bos_policy_name(int64_t bos_id) {
  return fmt::format("prepend_{}_drop_first", bos_id);
}

void require_same(const ShardIdentity& expected, const ShardIdentity& found,
                  const std::string& where) {
  if (expected.model_revision != found.model_revision) {
    require_equal("model", named_revision(expected), named_revision(found), where);
  }
  require_equal("tokenizer", expected.tokenizer_hash, found.tokenizer_hash, where);
  require_equal("input hook", expected.hook_in, found.hook_in, where);
  require_equal("output hook", expected.hook_out, found.hook_out, where);
  require_equal("BOS policy", expected.bos_policy, found.bos_policy, where);
  require_equal("number of layers", expected.layers, found.layers, where);
  require_equal("input width", expected.width_in, found.width_in, where);
  require_equal("target width", expected.width_out, found.width_out, where);
  require_equal("context length", expected.context_len, found.context_len, where);
}

}  // namespace crossloom::data
