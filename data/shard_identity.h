// What a shard's numbers are: which model at which hooks, cut into which windows under which BOS
// rule. Training, evaluation and graphs refuse shards whose identity differs from their own.
#pragma once

#include <cstdint>
#include <string>

namespace crossloom::data {

struct ShardIdentity {
  std::string model;           // the model folder's name, for people
  std::string model_revision;  // xxh3-64 of its config and weights: what is compared
  std::string tokenizer_hash;  // models::Tokenizer::hash
  std::string hook_in;         // circuit-tracer's names (models/hooks.h)
  std::string hook_out;
  std::string bos_policy;   // bos_policy_name
  int64_t layers = 0;       // L
  int64_t width_in = 0;     // D of the inputs
  int64_t width_out = 0;    // D of the targets
  int64_t context_len = 0;  // longest window, BOS included, tokens
};

/// "prepend_1_drop_first": with_bos with id 1 (models/tokenizer.h); position 0 is stored nowhere.
std::string bos_policy_name(int64_t bos_id);

/// Throws DataError naming the first difference; `where` is the shard or cache that `found`
/// comes from. Model names may differ as long as the revision does not.
void require_same(const ShardIdentity& expected, const ShardIdentity& found,
                  const std::string& where);

}  // namespace crossloom::data
