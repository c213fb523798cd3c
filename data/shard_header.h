// What stands beside a shard's rows: the root attributes and the statistics (FORMAT.md), read with
// every check that can be made before a row is touched.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "data/hdf5_file.h"
#include "data/norm_statistics.h"
#include "data/shard_identity.h"

namespace crossloom::data {

inline constexpr const char* kShardFormat = "clt-activations";
inline constexpr int64_t kShardVersion = 1;
inline constexpr const char* kShardDType = "bfloat16";

/// The root attributes, `complete` aside.
struct ShardHeader {
  ShardIdentity identity;
  int64_t rows = 0;
  int64_t row_offset = 0;  // index of the first row in the whole cache
  int64_t chunk_rows = 0;  // from the datasets, not an attribute
  std::string shuffle = "none";
  uint64_t seed = 0;  // of the order of documents

  int64_t chunk_count() const { return (rows + chunk_rows - 1) / chunk_rows; }
};

/// What a manifest records of a shard: xxh3-64 over the header's values and all checksums of
/// chunks, field by field. A flipped byte in either is found by it.
uint64_t shard_digest(const ShardHeader& header, std::span<const uint64_t> checksums);

void write_header(const hdf5::Id& file, const ShardHeader& header, const std::string& where);
/// Checks format, version, `complete`, dtype and ranges; chunk_rows is left 0. Throws DataError.
ShardHeader read_header(const hdf5::Id& file, const std::string& where);

void write_statistics(const hdf5::Id& file, const NormStatistics& statistics,
                      const std::string& where);
/// Throws DataError unless finite, of the header's shape, and equal to their checksum.
NormStatistics read_statistics(const hdf5::Id& file, const ShardHeader& header,
                               const std::string& where);

}  // namespace crossloom::data
