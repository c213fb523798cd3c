// The part of harvest that knows nothing of a model: text, an encoder and a forward pass in, a
// complete cache folder out. All ranks of `comm` work together on a shared folder.
//
// The folder's manifest is written first (state "writing"), so that an interrupted harvest goes on:
// whole shards are kept, the others are made, with any number of ranks. A complete cache of the
// same request is left alone; another request is refused with the difference.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/communicator.h"
#include "common/json_file.h"
#include "common/tensor.h"
#include "data/manifest.h"
#include "data/shard_header.h"
#include "data/token_windows.h"

namespace crossloom::data {

/// All S positions of one window, position 0 included; any float type.
struct WindowActivations {
  std::vector<at::Tensor> x;  // [L] of [S, D_in]
  std::vector<at::Tensor> y;  // [L] of [S, D_out]
};
using WindowForward = std::function<WindowActivations(const std::vector<TokenId>& ids)>;

struct HarvestJob {
  std::string folder;
  ShardHeader header;  // identity, chunk_rows, shuffle, seed; rows are filled in per shard
  Json request;        // everything the rows depend on
  int64_t max_tokens = 0;
  int64_t shard_rows = 0;
};

/// Collective. Returns the complete manifest. Throws ConfigError (another request), DataError
/// (disk, text, activations that are not finite).
Manifest harvest_shards(const HarvestJob& job, const TextSource& text, const TextEncoder& encoder,
                        const WindowForward& forward, Communicator& comm);

}  // namespace crossloom::data
