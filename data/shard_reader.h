// Reads one shard. The constructor asks HDF5 for everything it knows (attributes, statistics,
// checksums, the address of every chunk), checks it, and closes the HDF5 file again; from then on
// chunks are read with pread and HDF5 is not called any more, so any thread may read.
// A chunk's checksum is verified the first time it is read.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/handle.h"
#include "data/shard_format.h"
#include "data/shard_header.h"

namespace crossloom::data {

struct CloseDescriptor {
  void operator()(int descriptor) const noexcept;
};

class ShardReader {
 public:
  /// Throws DataError naming the file and what is wrong with it.
  explicit ShardReader(const std::string& path);

  const std::string& path() const { return path_; }
  const ShardHeader& header() const { return header_; }
  const ShardFields& fields() const { return fields_; }
  const NormStatistics& statistics() const { return statistics_; }
  /// As in the manifest.
  uint64_t digest() const { return digest_; }

  /// The whole chunk of a field as stored: [chunk_rows, row_bytes]; in the last chunk the rows past
  /// the shard's end are zero. Thread-safe. Throws DataError naming file, dataset and chunk when it
  /// cannot be read or its checksum is wrong.
  void read_chunk(int64_t field, int64_t chunk, std::span<std::byte> into) const;

  /// Document of every row, in order: [rows].
  std::vector<int64_t> read_documents() const;

 private:
  void check_dataset(const hdf5::Id& dataset, int64_t field, const std::string& where);
  void read_addresses(const hdf5::Id& dataset, int64_t field, const std::string& where);

  std::string path_;
  ShardHeader header_;
  ShardFields fields_{ShardIdentity{}};
  NormStatistics statistics_;
  uint64_t digest_ = 0;
  int64_t file_bytes_ = 0;
  std::vector<int64_t> addresses_;                 // [2L + 3, chunks], byte offsets in the file
  std::vector<uint64_t> checksums_;                // [2L + 3, chunks]
  std::unique_ptr<std::atomic<bool>[]> verified_;  // [2L + 3, chunks]
  UniqueHandle<int, CloseDescriptor, -1> descriptor_;
};

}  // namespace crossloom::data
