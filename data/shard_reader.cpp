#include "data/shard_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace crossloom::data {
namespace {

constexpr int64_t kChunkRowLimit = int64_t{1} << 24;
constexpr const char* kHint = "The file is damaged: delete it and harvest it again.";

[[noreturn]] void fail(const std::string& what, const std::string& expected, const std::string& got,
                       const std::string& where) {
  throw DataError({.what = what, .expected = expected, .got = got, .where = where, .hint = kHint});
}

/// Rows per chunk of a chunked, unfiltered dataset. Throws DataError.
int64_t chunk_rows_of(const hdf5::Id& dataset, const std::string& where) {
  const hdf5::Id properties(
      hdf5::check(H5Dget_create_plist(dataset.get()), "read a dataset's layout", where));
  if (H5Pget_layout(properties.get()) != H5D_CHUNKED || H5Pget_nfilters(properties.get()) != 0) {
    fail("A dataset is not laid out as a shard's", "chunks without a filter", "another layout",
         where);
  }
  hsize_t extents[2] = {0, 0};
  hdf5::check(H5Pget_chunk(properties.get(), 2, extents), "read the chunk size", where);
  if (extents[0] == 0 || extents[0] > hsize_t(kChunkRowLimit)) {
    fail("A chunk has an impossible number of rows", fmt::format("1 … {}", kChunkRowLimit),
         fmt::format("{}", extents[0]), where);
  }
  return int64_t(extents[0]);
}

}  // namespace

void CloseDescriptor::operator()(int descriptor) const noexcept {
  ::close(descriptor);
}

ShardReader::ShardReader(const std::string& path) : path_(path) {
  const hdf5::Id file = hdf5::open_file(path);
  header_ = read_header(file, path);
  fields_ = ShardFields(header_.identity);
  descriptor_ = UniqueHandle<int, CloseDescriptor, -1>(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!descriptor_ || ::fstat(descriptor_.get(), &status) != 0) {
    fail("A shard cannot be opened", "a readable file", std::strerror(errno), path);
  }
  file_bytes_ = status.st_size;
  if (file_bytes_ / fields_.all_row_bytes() < header_.rows) {  // before anything is allocated
    fail("A shard is shorter than its rows",
         fmt::format("{} rows of {} bytes", header_.rows, fields_.all_row_bytes()),
         fmt::format("{} bytes in all", file_bytes_), path);
  }
  const std::string first = path + ", dataset " + fields_.name(0);
  header_.chunk_rows = chunk_rows_of(hdf5::open_dataset(file, fields_.name(0), path), first);
  for (int64_t field = 0; field < fields_.count(); ++field) {
    const std::string where = path + ", dataset " + fields_.name(field);
    const hdf5::Id dataset = hdf5::open_dataset(file, fields_.name(field), path);
    check_dataset(dataset, field, where);
    read_addresses(dataset, field, where);
    const auto checksums =
        hdf5::read_unsigned(file, fields_.checksum_name(field), {header_.chunk_count()}, path);
    checksums_.insert(checksums_.end(), checksums.begin(), checksums.end());
  }
  statistics_ = read_statistics(file, header_, path);
  digest_ = shard_digest(header_, checksums_);
  verified_ = std::make_unique<std::atomic<bool>[]>(checksums_.size());
}

void ShardReader::check_dataset(const hdf5::Id& dataset, int64_t field, const std::string& where) {
  std::vector<int64_t> expected = {header_.rows};
  if (fields_.is_activation(field)) {
    expected.push_back(fields_.width(field));
  }
  const auto found = hdf5::dataset_shape(dataset, where);
  if (found != expected) {
    fail("A dataset's shape and the shard's attributes disagree",
         fmt::format("[{}]", fmt::join(expected, ", ")),
         fmt::format("[{}]", fmt::join(found, ", ")), where);
  }
  const hdf5::Id type(hdf5::check(H5Dget_type(dataset.get()), "read a dataset's type", where));
  if (H5Tequal(type.get(), fields_.file_type(field).get()) <= 0) {
    fail("A dataset has another element type",
         fields_.is_activation(field) ? "bfloat16 as a 16-bit float (sign 15, exponent 7–14, "
                                        "mantissa 0–6, bias 127), little-endian"
                                      : "the unsigned integer type of FORMAT.md",
         fmt::format("a type of {} bytes", H5Tget_size(type.get())), where);
  }
  const int64_t chunk_rows = chunk_rows_of(dataset, where);
  if (chunk_rows != header_.chunk_rows) {
    fail("Datasets of one shard are cut into different chunks",
         fmt::format("{} rows", header_.chunk_rows), fmt::format("{} rows", chunk_rows), where);
  }
}

void ShardReader::read_addresses(const hdf5::Id& dataset, int64_t field, const std::string& where) {
  const int64_t chunk_bytes = header_.chunk_rows * fields_.row_bytes(field);
  for (int64_t chunk = 0; chunk < header_.chunk_count(); ++chunk) {
    const hsize_t place[] = {hsize_t(chunk * header_.chunk_rows), 0};
    unsigned filters = 0;
    haddr_t address = HADDR_UNDEF;
    hsize_t size_bytes = 0;
    hdf5::check(H5Dget_chunk_info_by_coord(dataset.get(), place, &filters, &address, &size_bytes),
                "find a chunk", fmt::format("{}, chunk {}", where, chunk));
    if (address == HADDR_UNDEF || size_bytes != hsize_t(chunk_bytes) ||
        address > hsize_t(file_bytes_) || hsize_t(file_bytes_) - address < size_bytes) {
      fail("A chunk is missing or lies outside the file", fmt::format("{} bytes", chunk_bytes),
           address == HADDR_UNDEF ? "no chunk" : fmt::format("{} bytes", size_bytes),
           fmt::format("{}, chunk {}", where, chunk));
    }
    addresses_.push_back(int64_t(address));
  }
}

void ShardReader::read_chunk(int64_t field, int64_t chunk, std::span<std::byte> into) const {
  CROSSLOOM_CHECK(field < fields_.count() && chunk < header_.chunk_count() &&
                      std::cmp_equal(into.size(), header_.chunk_rows * fields_.row_bytes(field)),
                  "chunk {} of field {} into {} bytes", chunk, field, into.size());
  const auto index = size_t(field * header_.chunk_count() + chunk);
  const auto where = [&] {
    return fmt::format("{}, dataset {}, chunk {}", path_, fields_.name(field), chunk);
  };
  size_t done = 0;
  while (done < into.size()) {
    const ssize_t got = ::pread(descriptor_.get(), into.data() + done, into.size() - done,
                                addresses_[index] + int64_t(done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      fail("A chunk cannot be read", fmt::format("{} bytes", into.size()),
           got < 0 ? std::strerror(errno) : fmt::format("{} bytes: the file was cut off", done),
           where());
    }
    done += size_t(got);
  }
  if (!verified_[index].load(std::memory_order_relaxed)) {
    const uint64_t found = xxh3(into);
    if (found != checksums_[index]) {
      fail("A chunk's checksum is wrong: its bytes have changed since they were written",
           hex(checksums_[index]), hex(found), where());
    }
    verified_[index].store(true, std::memory_order_relaxed);
  }
}

std::vector<int64_t> ShardReader::read_documents() const {
  const auto chunk_rows = size_t(header_.chunk_rows);
  std::vector<int64_t> documents(chunk_rows * size_t(header_.chunk_count()));
  for (int64_t chunk = 0; chunk < header_.chunk_count(); ++chunk) {
    const auto part = std::span(documents).subspan(size_t(chunk) * chunk_rows, chunk_rows);
    read_chunk(fields_.documents(), chunk, std::as_writable_bytes(part));
  }
  documents.resize(size_t(header_.rows));
  return documents;
}

}  // namespace crossloom::data
