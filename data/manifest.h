// manifest.json: what a cache folder holds and what was asked for when it was made. Written twice:
// with state "writing" before the first shard (so that an interrupted harvest knows its plan and
// goes on), with state "complete" after the last one.
//
//   {"format": "clt-activations-manifest", "version": 1, "state": "writing" | "complete",
//    "rows": N, "request": {…}, "shards": [{"name", "rows", "row_offset", "producer_rank",
//    "xxh3" (hex, null while planned), "state": "planned" | "complete"}, …]}
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/json_file.h"

namespace crossloom::data {

struct ShardEntry {
  std::string name;  // file name inside the folder
  int64_t rows = 0;
  int64_t row_offset = 0;
  int64_t producer_rank = 0;
  std::string xxh3;  // digest as 16 hex digits (shard_header.h); empty while planned
};

struct Manifest {
  bool complete = false;
  int64_t rows = 0;
  Json request;                    // what was asked for: two harvests are the same iff it is equal
  std::vector<ShardEntry> shards;  // in row order; together exactly rows [0, rows)
};

std::string manifest_path(const std::string& folder);
bool has_manifest(const std::string& folder);

/// Throws DataError when missing, damaged, or when the shards do not tile [0, rows).
Manifest read_manifest(const std::string& folder);
/// Atomic. Throws DataError.
void write_manifest(const std::string& folder, const Manifest& manifest);

/// "hook_in: mlp.hook_in there, hook_resid_mid asked for", …; empty when equal.
std::string request_difference(const Json& there, const Json& asked);

}  // namespace crossloom::data
