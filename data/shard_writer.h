// Writes one shard (shard_format.h). It is written under `<path>.tmp` and appears under its final
// name only when everything in it is on the disk: chunks, statistics, flush, checksums, `complete`,
// close, fsync, rename, fsync of the folder. A crash or a full disk leaves at most a `.tmp` file.
//
// Memory: one chunk per field, chunk_rows · (2·L·(D_in + D_out) + 16) bytes (71 MB for 30 layers of
// width 576 and 1024 rows). A chunk goes to the file in one write, past HDF5's own caches.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/hdf5_file.h"
#include "data/shard_format.h"
#include "data/shard_header.h"

namespace crossloom::data {

class ShardWriter {
 public:
  /// A shard of exactly `header.rows` rows. Throws DataError when there already is a file under
  /// `path` or none can be created.
  ShardWriter(std::string path, const ShardHeader& header);
  /// Without finish(): removes the temporary file.
  ~ShardWriter();
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;

  /// Appends rows; x, y bf16 [n, D] per layer, ids [n]. Throws DataError (full disk, a value that
  /// is not finite); nothing may be called after that.
  void append(const Batch& rows);

  /// All rows were appended: makes the shard appear. Returns its digest. Throws DataError.
  uint64_t finish();

 private:
  struct Field {
    hdf5::Id dataset;
    std::vector<std::byte> chunk;     // [chunk_rows, row_bytes], filled up to fill_
    std::vector<uint64_t> checksums;  // [chunks]
  };
  void create_datasets();
  void copy_rows(const Batch& rows, int64_t from, int64_t count);
  void write_chunks();
  std::vector<uint64_t> write_checksums();
  void abandon() noexcept;

  std::string path_, temporary_;
  ShardHeader header_;
  ShardFields fields_;
  NormStatistics statistics_;
  hdf5::Id file_;                   // before the datasets: closed after them
  std::vector<Field> field_state_;  // [2L + 3]
  int64_t rows_done_ = 0;
  int64_t fill_ = 0;  // rows in the current chunk
};

}  // namespace crossloom::data
