#include "common/tensor_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/error.h"
#include "common/json_file.h"
#include "common/mapped_file.h"
#include "common/nearest.h"
#include "common/output_file.h"

namespace crossloom {
namespace {

constexpr uint64_t kHeaderLimit_bytes = 100'000'000;  // the format's own limit
constexpr size_t kDataAlignment_bytes = 64;

[[noreturn]] void fail(const std::string& source, const std::string& what,
                       const std::string& expected, const std::string& got) {
  throw DataError({.what = what,
                   .expected = expected,
                   .got = got,
                   .where = source,
                   .hint = "The file may be damaged, cut off, or not a safetensors file: fetch or "
                           "convert it again."});
}

/// Product of extents times the element size; nullopt when negative or beyond int64.
std::optional<int64_t> checked_size_bytes(const std::vector<int64_t>& shape, DType dtype) {
  int64_t size = dtype_info(dtype).size_bytes;
  for (const int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(size, extent, &size)) {
      return std::nullopt;
    }
  }
  return size;
}

std::vector<int64_t> integers(const Json& list, const char* key, const std::string& source) {
  if (!list.is_array()) {
    fail_json_field(key, "a list of whole numbers", list.type_name(), source);
  }
  std::vector<int64_t> values;
  for (const Json& item : list) {
    if (!detail::json_type_fits<int64_t>(item) || item.get<int64_t>() < 0) {
      fail_json_field(key, "whole numbers ≥ 0", item.dump(), source);
    }
    values.push_back(item.get<int64_t>());
  }
  return values;
}

TensorEntry parse_entry(const std::string& name, const Json& value, std::span<const std::byte> data,
                        const std::string& source) {
  const std::string where = fmt::format("{}, tensor '{}'", source, name);
  const auto type_name = json_field<std::string>(value, "dtype", where);
  const auto dtype = dtype_from_name(type_name);
  if (!dtype) {
    fail(where, "Unknown element type", "F64, F32, F16, BF16, I64, …", type_name);
  }
  TensorEntry entry;
  entry.dtype = *dtype;
  entry.shape = integers(json_part(value, "shape"), "shape", where);
  const auto range = integers(json_part(value, "data_offsets"), "data_offsets", where);
  if (range.size() != 2 || range[0] > range[1] || std::cmp_greater(range[1], data.size())) {
    fail(where, "A tensor's bytes lie outside the file",
         fmt::format("[begin, end] with begin ≤ end ≤ {}", data.size()),
         fmt::format("[{}]", fmt::join(range, ", ")));
  }
  const auto size = checked_size_bytes(entry.shape, entry.dtype);
  if (!size || *size != range[1] - range[0]) {
    fail(where, "A tensor's shape and its length in bytes disagree",
         size ? fmt::format("{} bytes for shape [{}]", *size, fmt::join(entry.shape, ", "))
              : "a shape that fits 64 bits",
         fmt::format("{} bytes", range[1] - range[0]));
  }
  entry.bytes = data.subspan(size_t(range[0]), size_t(*size));
  return entry;
}

/// The format forbids holes and overlaps: together the tensors are exactly the data.
void check_tiling(const std::map<std::string, TensorEntry>& tensors,
                  std::span<const std::byte> data, const std::string& source) {
  std::vector<std::pair<size_t, size_t>> ranges;
  for (const auto& [name, entry] : tensors) {
    const auto begin = size_t(entry.bytes.data() - data.data());
    ranges.emplace_back(begin, begin + entry.bytes.size());
  }
  std::sort(ranges.begin(), ranges.end());
  size_t covered = 0;
  for (const auto& [begin, end] : ranges) {
    if (begin != covered) {
      fail(source, "Tensors overlap or leave a hole", fmt::format("the next at byte {}", covered),
           fmt::format("byte {}", begin));
    }
    covered = end;
  }
  if (covered != data.size()) {
    fail(source, "The file's length and its header disagree",
         fmt::format("{} bytes of tensors", covered), fmt::format("{} bytes", data.size()));
  }
}

}  // namespace

int64_t TensorEntry::element_count() const {
  return int64_t(bytes.size()) / dtype_info(dtype).size_bytes;
}

TensorFile::TensorFile(const std::string& path)
    : source_(path), mapping_(std::make_shared<MappedFile>(path)) {
  parse(mapping_->bytes());
}

TensorFile::TensorFile(std::span<const std::byte> bytes, std::string source)
    : source_(std::move(source)) {
  parse(bytes);
}

void TensorFile::parse(std::span<const std::byte> bytes) {
  uint64_t header_bytes = 0;
  if (bytes.size() < sizeof(header_bytes)) {
    fail(source_, "The file is too short", "at least 8 bytes",
         fmt::format("{} bytes", bytes.size()));
  }
  std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  const size_t rest = bytes.size() - sizeof(header_bytes);
  if (header_bytes > kHeaderLimit_bytes || header_bytes > rest) {
    fail(source_, "The header's length is impossible",
         fmt::format("at most {} bytes", std::min<uint64_t>(kHeaderLimit_bytes, rest)),
         fmt::format("{} bytes", header_bytes));
  }
  const std::string text(reinterpret_cast<const char*>(bytes.data()) + sizeof(header_bytes),
                         header_bytes);
  const Json header = parse_json(text, source_);
  if (!header.is_object()) {
    fail(source_, "The header is not an object", "{\"name\": {…}}", header.type_name());
  }
  const auto data = bytes.subspan(sizeof(header_bytes) + header_bytes);
  for (const auto& [name, value] : header.items()) {
    if (name != "__metadata__") {
      tensors_.emplace(name, parse_entry(name, value, data, source_));
      continue;
    }
    for (const auto& [key, item] : value.items()) {
      metadata_[key] = json_field<std::string>(value, key.c_str(), source_ + ", __metadata__");
    }
  }
  check_tiling(tensors_, data, source_);
}

const TensorEntry& TensorFile::at(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    std::vector<std::string> names;
    for (const auto& [key, entry] : tensors_) {
      names.push_back(key);
    }
    throw DataError({.what = fmt::format("There is no tensor '{}'", name),
                     .expected = name,
                     .got = fmt::format("{} others; the nearest is '{}'", names.size(),
                                        nearest_name(name, names)),
                     .where = source_,
                     .hint = "Is this the right model, and is it of a supported family?"});
  }
  return found->second;
}

void write_tensor_file(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) {
    header["__metadata__"] = metadata;
  }
  size_t offset = 0;
  for (const auto& tensor : tensors) {
    CROSSLOOM_CHECK(!header.contains(tensor.name), "tensor '{}' is written twice", tensor.name);
    const auto size = checked_size_bytes(tensor.shape, tensor.dtype);
    CROSSLOOM_CHECK(size && std::cmp_equal(*size, tensor.bytes.size()),
                    "tensor '{}' has {} bytes for shape [{}]", tensor.name, tensor.bytes.size(),
                    fmt::join(tensor.shape, ", "));
    header[tensor.name] = {{"dtype", dtype_info(tensor.dtype).name},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = header.dump();
  while ((text.size() + sizeof(uint64_t)) % kDataAlignment_bytes != 0) {
    text += ' ';
  }
  const uint64_t header_bytes = text.size();
  OutputFile file(path);
  file.write(&header_bytes, sizeof(header_bytes));
  file.write(text);
  for (const auto& tensor : tensors) {
    file.write(tensor.bytes.data(), tensor.bytes.size());
  }
  file.commit();
}

}  // namespace crossloom
