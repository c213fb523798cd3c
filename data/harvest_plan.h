// How the rows of a cache are cut into shards and who writes them.
//
// Shard borders lie on multiples of chunk_rows, so that the chunks (and with them every batch of
// the sampler) are the same whatever the number of ranks. A window that a border cuts is computed
// by both neighbours and each stores its part.
#pragma once

#include <cstdint>
#include <vector>

#include "data/manifest.h"

namespace crossloom::data {

/// Rank r gets chunks [r·C/R, (r+1)·C/R) of the C chunks, in shards of at most `shard_rows` rows
/// (at least one chunk). Ranks without a chunk get no shard.
std::vector<ShardEntry> plan_shards(int64_t rows, int64_t chunk_rows, int64_t shard_rows,
                                    int64_t rank_count);

/// The shards of `wanted` that rank r of R writes: an equal, contiguous part of them.
std::vector<int64_t> deal_shards(const std::vector<int64_t>& wanted, int64_t rank,
                                 int64_t rank_count);

}  // namespace crossloom::data
