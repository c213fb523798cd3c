#include "data/harvest_plan.h"

#include <algorithm>

#include "common/format.h"

namespace crossloom::data {

std::vector<ShardEntry> plan_shards(int64_t rows, int64_t chunk_rows, int64_t shard_rows,
                                    int64_t rank_count) {
  const int64_t chunks = (rows + chunk_rows - 1) / chunk_rows;
  const int64_t chunks_per_shard = std::max<int64_t>(1, shard_rows / chunk_rows);
  std::vector<ShardEntry> shards;
  for (int64_t rank = 0; rank < rank_count; ++rank) {
    const int64_t end = chunks * (rank + 1) / rank_count;
    for (int64_t chunk = chunks * rank / rank_count; chunk < end; chunk += chunks_per_shard) {
      const int64_t first_row = chunk * chunk_rows;
      const int64_t last_chunk = std::min(end, chunk + chunks_per_shard);
      shards.push_back({.name = fmt::format("shard_{:05}.h5", shards.size()),
                        .rows = std::min(rows, last_chunk * chunk_rows) - first_row,
                        .row_offset = first_row,
                        .producer_rank = rank,
                        .xxh3 = {}});
    }
  }
  return shards;
}

std::vector<int64_t> deal_shards(const std::vector<int64_t>& wanted, int64_t rank,
                                 int64_t rank_count) {
  const auto total = int64_t(wanted.size());
  return {wanted.begin() + total * rank / rank_count,
          wanted.begin() + total * (rank + 1) / rank_count};
}

}  // namespace crossloom::data
