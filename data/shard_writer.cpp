#include "data/shard_writer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "common/output_file.h"
#include "data/shard_reader.h"

namespace crossloom::data {
namespace {

void refuse_existing(const std::string& path) {
  if (std::filesystem::exists(path)) {
    throw DataError({.what = "A shard of that name is already there; it is not overwritten",
                     .expected = "no such file",
                     .got = "a file",
                     .where = path,
                     .hint = "Choose another folder, or delete the old shards first."});
  }
}

void check_rows(const Batch& rows, const ShardIdentity& id) {
  CROSSLOOM_CHECK(std::cmp_equal(rows.x.size(), id.layers) && rows.x.size() == rows.y.size(),
                  "{} layers of rows for a shard of {}", rows.x.size(), id.layers);
  const int64_t n = rows.tokens.size(0);
  const auto check_side = [n](const std::vector<at::Tensor>& side, int64_t width) {
    for (const auto& layer : side) {
      check_shape(layer, {n, width}, "rows");
      CROSSLOOM_CHECK(layer.scalar_type() == at::kBFloat16, "rows must be bfloat16");
    }
  };
  check_side(rows.x, id.width_in);
  check_side(rows.y, id.width_out);
  check_shape(rows.documents, {n}, "documents");
  check_shape(rows.positions, {n}, "positions");
  CROSSLOOM_CHECK(rows.tokens.scalar_type() == at::kInt &&
                      rows.documents.scalar_type() == at::kLong &&
                      rows.positions.scalar_type() == at::kInt,
                  "ids must be int32, int64, int32");
}

void sync_and_close(int descriptor, const std::string& path) {
  const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
  const int reason = errno;
  ::close(descriptor);
  if (!synced) {
    throw DataError({.what = "Cannot sync a shard",
                     .expected = "a disk that takes it",
                     .got = std::strerror(reason),
                     .where = path,
                     .hint = "Check the disk; the unfinished shard was removed."});
  }
}

}  // namespace

ShardWriter::ShardWriter(std::string path, const ShardHeader& header)
    : path_(std::move(path)),
      temporary_(path_ + ".tmp"),
      header_(header),
      fields_(header.identity),
      statistics_(NormStatistics::empty(header.identity.layers, header.identity.width_in,
                                        header.identity.width_out)) {
  CROSSLOOM_CHECK(header.rows > 0 && header.chunk_rows > 0, "a shard of {} rows", header.rows);
  refuse_existing(path_);
  file_ = hdf5::create_file(temporary_);
  try {
    write_header(file_, header_, temporary_);
    create_datasets();
  } catch (...) {
    abandon();
    throw;
  }
}

ShardWriter::~ShardWriter() {
  abandon();
}

void ShardWriter::create_datasets() {
  for (int64_t layer = 0; layer < header_.identity.layers; ++layer) {
    hdf5::create_group(file_, fmt::format("/layer_{}", layer), temporary_);
  }
  for (int64_t field = 0; field < fields_.count(); ++field) {
    const std::string where = temporary_ + ", dataset " + fields_.name(field);
    const hsize_t rank = fields_.is_activation(field) ? 2 : 1;
    const hsize_t shape[] = {hsize_t(header_.rows), hsize_t(fields_.width(field))};
    const hsize_t limit[] = {H5S_UNLIMITED, shape[1]};  // a chunk may hold more rows than the shard
    const hsize_t chunk[] = {hsize_t(header_.chunk_rows), hsize_t(fields_.width(field))};
    const hdf5::Id space(
        hdf5::check(H5Screate_simple(int(rank), shape, limit), "create an extent", where));
    const hdf5::Id properties(
        hdf5::check(H5Pcreate(H5P_DATASET_CREATE), "create properties", where));
    hdf5::check(H5Pset_chunk(properties.get(), int(rank), chunk), "set the chunk size", where);
    hdf5::check(H5Pset_obj_track_times(properties.get(), false), "set properties", where);
    Field state;
    state.dataset = hdf5::Id(hdf5::check(
        H5Dcreate2(file_.get(), fields_.name(field).c_str(), fields_.file_type(field).get(),
                   space.get(), H5P_DEFAULT, properties.get(), H5P_DEFAULT),
        "create a dataset", where));
    state.chunk.resize(size_t(header_.chunk_rows * fields_.row_bytes(field)));
    field_state_.push_back(std::move(state));
  }
}

void ShardWriter::append(const Batch& rows) {
  check_rows(rows, header_.identity);
  const int64_t count = rows.tokens.size(0);
  CROSSLOOM_CHECK(rows_done_ + count <= header_.rows, "{} rows too many for {}",
                  rows_done_ + count - header_.rows, path_);
  add_rows(statistics_, rows, path_);
  int64_t from = 0;
  while (from < count) {
    const int64_t part = std::min(count - from, header_.chunk_rows - fill_);
    copy_rows(rows, from, part);
    from += part;
    fill_ += part;
    rows_done_ += part;
    if (fill_ == header_.chunk_rows || rows_done_ == header_.rows) {
      write_chunks();
    }
  }
}

void ShardWriter::copy_rows(const Batch& rows, int64_t from, int64_t count) {
  const auto copy = [&](int64_t field, const at::Tensor& source) {
    const auto row_bytes = size_t(fields_.row_bytes(field));
    std::memcpy(field_state_[size_t(field)].chunk.data() + size_t(fill_) * row_bytes,
                bytes_of(source).data() + size_t(from) * row_bytes, size_t(count) * row_bytes);
  };
  for (int64_t layer = 0; layer < header_.identity.layers; ++layer) {
    copy(fields_.inputs(layer), rows.x[size_t(layer)]);
    copy(fields_.targets(layer), rows.y[size_t(layer)]);
  }
  copy(fields_.tokens(), rows.tokens);
  copy(fields_.documents(), rows.documents);
  copy(fields_.positions(), rows.positions);
}

void ShardWriter::write_chunks() {
  const int64_t first_row = (rows_done_ - 1) / header_.chunk_rows * header_.chunk_rows;
  for (int64_t field = 0; field < fields_.count(); ++field) {
    auto& state = field_state_[size_t(field)];
    const auto used = state.chunk.begin() + fill_ * fields_.row_bytes(field);
    std::fill(used, state.chunk.end(), std::byte{0});  // the last chunk's unused rows
    const hsize_t place[] = {hsize_t(first_row), 0};
    hdf5::check(H5Dwrite_chunk(state.dataset.get(), H5P_DEFAULT, 0, place, state.chunk.size(),
                               state.chunk.data()),
                "write a chunk", temporary_ + ", dataset " + fields_.name(field));
    state.checksums.push_back(xxh3(state.chunk));
  }
  fill_ = 0;
}

std::vector<uint64_t> ShardWriter::write_checksums() {
  std::vector<uint64_t> all;
  for (int64_t field = 0; field < fields_.count(); ++field) {
    const auto& checksums = field_state_[size_t(field)].checksums;
    hdf5::write_array(file_, fields_.checksum_name(field), checksums, {header_.chunk_count()},
                      temporary_);
    all.insert(all.end(), checksums.begin(), checksums.end());
  }
  return all;
}

uint64_t ShardWriter::finish() {
  CROSSLOOM_CHECK(rows_done_ == header_.rows, "{} of {} rows were appended to {}", rows_done_,
                  header_.rows, path_);
  write_statistics(file_, statistics_, temporary_);
  const auto checksums = write_checksums();
  hdf5::check(H5Fflush(file_.get(), H5F_SCOPE_LOCAL), "flush", temporary_);
  hdf5::write_attribute(file_, "complete", uint8_t{1}, temporary_);
  hdf5::check(H5Fflush(file_.get(), H5F_SCOPE_LOCAL), "flush", temporary_);
  const int descriptor = ::dup(hdf5::file_descriptor(file_, temporary_));
  field_state_.clear();
  file_.reset();
  try {
    sync_and_close(descriptor, temporary_);
    const uint64_t digest = ShardReader(temporary_).digest();  // closed whole and readable
    CROSSLOOM_CHECK(digest == shard_digest(header_, checksums), "{} changed while it was closed",
                    temporary_);
    refuse_existing(path_);
    std::filesystem::rename(temporary_, path_);
    sync_folder(std::filesystem::path(path_).parent_path().string());
    return digest;
  } catch (...) {
    ::unlink(temporary_.c_str());
    throw;
  }
}

/// Closing a file after a failed write would make HDF5 flush to the full disk, fail again, and keep
/// the file open until exit. So the temporary file is removed and its descriptor pointed at memory
/// first: the library then closes in peace.
void ShardWriter::abandon() noexcept {
  if (!file_) {
    return;
  }
  ::unlink(temporary_.c_str());
  const int memory = ::memfd_create("abandoned shard", MFD_CLOEXEC);
  void* handle = nullptr;
  if (memory >= 0 && H5Fget_vfd_handle(file_.get(), H5P_DEFAULT, &handle) >= 0) {
    ::dup2(memory, *static_cast<int*>(handle));
  }
  if (memory >= 0) {
    ::close(memory);
  }
  field_state_.clear();
  file_.reset();
}

}  // namespace crossloom::data
