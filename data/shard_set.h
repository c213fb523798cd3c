// All shards of one cache folder as one index space: rows [0, N) in row_offset order, blocks (the
// shards' chunks) [0, B) in the same order. Everything is validated when it is opened.
//
// Harvest cuts shards at multiples of the chunk size, so the blocks, and with them every batch, are
// a function of the corpus and not of how many ranks wrote it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/manifest.h"
#include "data/row_selection.h"
#include "data/shard_reader.h"

namespace crossloom::data {

struct Block {
  int64_t shard = 0;
  int64_t chunk = 0;      // inside the shard
  int64_t first_row = 0;  // in the whole cache
  int64_t rows = 0;       // ≤ chunk_rows
};

/// Rows [begin, end) of one document.
struct DocumentRun {
  int64_t begin = 0, end = 0;
  int64_t document = 0;
};

class ShardSet {
 public:
  /// Files that the manifest does not name are ignored with a message. Throws DataError naming the
  /// shard when one it names is missing, unfinished, damaged, or not like the others.
  explicit ShardSet(const std::string& folder);

  const std::string& folder() const { return folder_; }
  const ShardIdentity& identity() const { return shards_.front()->header().identity; }
  const ShardFields& fields() const { return shards_.front()->fields(); }
  int64_t chunk_rows() const { return shards_.front()->header().chunk_rows; }
  int64_t rows() const { return manifest_.rows; }
  const Manifest& manifest() const { return manifest_; }
  /// 16 hex digits over all shards' digests: which activations these are.
  std::string digest() const;
  /// Over all rows, merged in row order.
  const NormStatistics& statistics() const { return statistics_; }
  /// In row order; neighbours differ in document.
  const std::vector<DocumentRun>& document_runs() const { return runs_; }

  const std::vector<Block>& blocks() const { return blocks_; }
  int64_t block_of(int64_t row) const;
  const ShardReader& shard(int64_t index) const { return *shards_[size_t(index)]; }

 private:
  void open_shard(const ShardEntry& entry);
  void add_runs(const ShardReader& shard);

  std::string folder_;
  Manifest manifest_;
  std::vector<std::unique_ptr<const ShardReader>> shards_;
  std::vector<Block> blocks_;
  std::vector<DocumentRun> runs_;
  NormStatistics statistics_;
};

/// Training rows and held-out rows. The unit is the document, so that held-out text is unseen:
/// with the cache's M documents in ascending order of id, document i is held out iff
/// permute(seed; i, M) < max(1, round(share · M)). A function of (seed, documents) alone.
struct RowSplit {
  RowSelection training, held_out;
};

/// share 0: everything is for training. Throws ConfigError when share is not in [0, 1), or when
/// nothing would be left for training.
RowSplit split_rows(const ShardSet& set, double share, uint64_t seed);

}  // namespace crossloom::data
