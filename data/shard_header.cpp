#include "data/shard_header.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "data/shard_format.h"

namespace crossloom::data {
namespace {

constexpr int64_t kLayerLimit = 100'000;  // beyond these a header is damaged
constexpr int64_t kWidthLimit = 10'000'000;

[[noreturn]] void fail_header(const std::string& what, const std::string& expected,
                              const std::string& got, const std::string& where) {
  throw DataError({.what = what,
                   .expected = expected,
                   .got = got,
                   .where = where,
                   .hint = "Make the shards again with `crossloom harvest`."});
}

int64_t ranged_attribute(const hdf5::Id& file, const char* name, int64_t low, int64_t high,
                         const std::string& where) {
  const int64_t value = hdf5::read_int_attribute(file, name, where);
  if (value < low || value > high) {
    fail_header(fmt::format("Attribute '{}' is out of range", name),
                fmt::format("{} … {}", low, high), fmt::format("{}", value), where);
  }
  return value;
}

void check_kind(const hdf5::Id& file, const std::string& where) {
  const auto format = hdf5::read_string_attribute(file, "format", where);
  if (format != kShardFormat) {
    fail_header("This HDF5 file is not a shard", kShardFormat, format, where);
  }
  const int64_t version = hdf5::read_int_attribute(file, "version", where);
  if (version != kShardVersion) {
    fail_header("This shard is of a version that this program does not read",
                fmt::format("version {}", kShardVersion), fmt::format("version {}", version),
                where);
  }
  if (!hdf5::has_attribute(file, "complete", where) ||
      hdf5::read_int_attribute(file, "complete", where) != 1) {
    fail_header("This shard was never finished", "attribute 'complete' = 1", "none", where);
  }
  const auto dtype = hdf5::read_string_attribute(file, "dtype", where);
  if (dtype != kShardDType) {
    fail_header("This shard holds an element type that this program does not read", kShardDType,
                dtype, where);
  }
}

uint64_t checksum_of(const std::vector<double>& mean_norm, const std::vector<double>& mean,
                     const std::vector<double>& deviation) {
  std::vector<double> all(mean_norm);
  all.insert(all.end(), mean.begin(), mean.end());
  all.insert(all.end(), deviation.begin(), deviation.end());
  return xxh3(std::as_bytes(std::span(all)));
}

void write_side(const hdf5::Id& group, const char* name, const SideStatistics& side, int64_t count,
                const std::string& where) {
  const auto place = hdf5::create_group(group, name, where);
  const auto layers = int64_t(side.mean_norm.size());
  const std::string at = fmt::format("{}, /norm/{}", where, name);
  const auto unsigned_count = static_cast<uint64_t>(count);
  const auto deviation = side.standard_deviation(count);
  const uint64_t checksum = checksum_of(side.mean_norm, side.mean, deviation);
  hdf5::write_array(place, "mean_norm", side.mean_norm, {layers}, at);
  hdf5::write_array(place, "mean", side.mean, {layers, side.width}, at);
  hdf5::write_array(place, "std", deviation, {layers, side.width}, at);
  hdf5::write_array(place, "count", std::span(&unsigned_count, 1), {}, at);
  hdf5::write_array(place, "xxh3", std::span(&checksum, 1), {}, at);
}

SideStatistics read_side(const hdf5::Id& file, const std::string& name, int64_t width,
                         const ShardHeader& header, const std::string& where) {
  const int64_t layers = header.identity.layers;
  const std::string place = "/norm/" + name + "/";
  const auto count = hdf5::read_unsigned(file, place + "count", {}, where).front();
  if (count != static_cast<uint64_t>(header.rows)) {
    fail_header("The statistics do not cover the shard's rows", fmt::format("{}", header.rows),
                fmt::format("{}", count), where + ", dataset " + place + "count");
  }
  SideStatistics side{.width = width,
                      .mean_norm = hdf5::read_doubles(file, place + "mean_norm", {layers}, where),
                      .mean = hdf5::read_doubles(file, place + "mean", {layers, width}, where),
                      .m2 = hdf5::read_doubles(file, place + "std", {layers, width}, where)};
  const uint64_t checksum = checksum_of(side.mean_norm, side.mean, side.m2);
  if (hdf5::read_unsigned(file, place + "xxh3", {}, where).front() != checksum) {
    fail_header("The statistics are damaged", "their checksum", hex(checksum),
                where + ", group " + place);
  }
  for (double& value : side.m2) {
    value = double(count) * value * value;  // M2 = n·std²
  }
  for (const auto* values : {&side.mean_norm, &side.mean, &side.m2}) {
    if (!std::all_of(values->begin(), values->end(), [](double v) { return std::isfinite(v); })) {
      fail_header("The statistics are damaged", "finite numbers", "an infinity or NaN",
                  where + ", group " + place);
    }
  }
  return side;
}

}  // namespace

uint64_t shard_digest(const ShardHeader& header, std::span<const uint64_t> checksums) {
  const ShardIdentity& id = header.identity;
  std::string bytes;
  for (const auto* text : {&id.model, &id.model_revision, &id.tokenizer_hash, &id.hook_in,
                           &id.hook_out, &id.bos_policy, &header.shuffle}) {
    bytes.append(text->c_str(), text->size() + 1);
  }
  const int64_t numbers[] = {
      id.layers,   id.width_in,       id.width_out,      id.context_len,
      header.rows, header.row_offset, header.chunk_rows, std::bit_cast<int64_t>(header.seed)};
  bytes.append(reinterpret_cast<const char*>(numbers), sizeof(numbers));
  bytes.append(reinterpret_cast<const char*>(checksums.data()), checksums.size_bytes());
  return xxh3(std::as_bytes(std::span(bytes)));
}

void write_header(const hdf5::Id& file, const ShardHeader& header, const std::string& where) {
  const ShardIdentity& id = header.identity;
  hdf5::write_attribute(file, "format", std::string(kShardFormat), where);
  hdf5::write_attribute(file, "version", kShardVersion, where);
  hdf5::write_attribute(file, "model", id.model, where);
  hdf5::write_attribute(file, "model_revision", id.model_revision, where);
  hdf5::write_attribute(file, "tokenizer_hash", id.tokenizer_hash, where);
  hdf5::write_attribute(file, "n_layers", id.layers, where);
  hdf5::write_attribute(file, "d_in", id.width_in, where);
  hdf5::write_attribute(file, "d_out", id.width_out, where);
  hdf5::write_attribute(file, "hook_in", id.hook_in, where);
  hdf5::write_attribute(file, "hook_out", id.hook_out, where);
  hdf5::write_attribute(file, "dtype", std::string(kShardDType), where);
  hdf5::write_attribute(file, "rows", header.rows, where);
  hdf5::write_attribute(file, "row_offset", header.row_offset, where);
  hdf5::write_attribute(file, "context_len", id.context_len, where);
  hdf5::write_attribute(file, "bos_policy", id.bos_policy, where);
  hdf5::write_attribute(file, "shuffle", header.shuffle, where);
  hdf5::write_attribute(file, "seed", header.seed, where);
}

ShardHeader read_header(const hdf5::Id& file, const std::string& where) {
  check_kind(file, where);
  const int64_t most = int64_t{1} << 48;
  ShardHeader header;
  ShardIdentity& id = header.identity;
  id.model = hdf5::read_string_attribute(file, "model", where);
  id.model_revision = hdf5::read_string_attribute(file, "model_revision", where);
  id.tokenizer_hash = hdf5::read_string_attribute(file, "tokenizer_hash", where);
  id.hook_in = hdf5::read_string_attribute(file, "hook_in", where);
  id.hook_out = hdf5::read_string_attribute(file, "hook_out", where);
  id.bos_policy = hdf5::read_string_attribute(file, "bos_policy", where);
  id.layers = ranged_attribute(file, "n_layers", 1, kLayerLimit, where);
  id.width_in = ranged_attribute(file, "d_in", 1, kWidthLimit, where);
  id.width_out = ranged_attribute(file, "d_out", 1, kWidthLimit, where);
  id.context_len = ranged_attribute(file, "context_len", 2, most, where);
  header.rows = ranged_attribute(file, "rows", 1, most, where);
  header.row_offset = ranged_attribute(file, "row_offset", 0, most, where);
  header.shuffle = hdf5::read_string_attribute(file, "shuffle", where);
  header.seed = hdf5::read_unsigned_attribute(file, "seed", where);
  return header;
}

void write_statistics(const hdf5::Id& file, const NormStatistics& statistics,
                      const std::string& where) {
  const auto group = hdf5::create_group(file, "/norm", where);
  write_side(group, "inputs", statistics.inputs, statistics.count, where);
  write_side(group, "targets", statistics.targets, statistics.count, where);
}

NormStatistics read_statistics(const hdf5::Id& file, const ShardHeader& header,
                               const std::string& where) {
  return {.count = header.rows,
          .inputs = read_side(file, "inputs", header.identity.width_in, header, where),
          .targets = read_side(file, "targets", header.identity.width_out, header, where)};
}

}  // namespace crossloom::data
