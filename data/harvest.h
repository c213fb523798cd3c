// Harvest: a host model reads text and what its MLPs read and write goes into shards. Ranks split
// the rows; no logits are computed; the cache is the same for any rank count (harvest_plan.h).
#pragma once

#include <string>
#include <vector>

#include "common/communicator.h"
#include "common/options.h"
#include "data/manifest.h"
#include "data/shard_identity.h"
#include "models/hooks.h"
#include "models/model_spec.h"
#include "models/tokenizer.h"

namespace crossloom::data {

struct HarvestOptions : Options {
  std::string model;
  std::vector<std::string> text;
  std::string output;
  int64_t max_tokens = 100'000;
  int64_t context_len = 256;
  std::string hook_in = "mlp_in";
  std::string hook_out = "mlp_out";
  std::string dtype = "bfloat16";
  int64_t document_bytes = 16'384;
  int64_t shard_rows = 65'536;
  int64_t seed = 0;

  void visit(OptionVisitor& visitor) override;
};

/// Identity of shards made with this model and these choices: what training, evaluation and graphs
/// compare with a cache's (require_same). Reads the model's files once. Throws ConfigError when the
/// model declares no BOS or the hooks cannot be harvested.
ShardIdentity make_identity(const std::string& model_folder, const models::ModelSpec& spec,
                            const models::Tokenizer& tokenizer, models::HookPoint hook_in,
                            models::HookPoint hook_out, int64_t context_len);

/// Bytes on disk of `tokens` rows (for --dry-run and reports).
int64_t shard_bytes(const models::ModelSpec& spec, int64_t tokens);

/// Collective. Returns the complete manifest. Throws ConfigError, DataError.
Manifest harvest(HarvestOptions options, Communicator& comm);

}  // namespace crossloom::data
