#include "data/shard_format.h"

#include <algorithm>

#include "common/format.h"

namespace crossloom::data {
namespace {

constexpr int64_t kChunkLimit_bytes = 2 << 20;
constexpr int64_t kChunkRowLimit = 1024;

}  // namespace

int64_t ShardFields::width(int64_t field) const {
  return field < layers_ ? width_in_ : field < 2 * layers_ ? width_out_ : 1;
}

int64_t ShardFields::row_bytes(int64_t field) const {
  if (is_activation(field)) {
    return 2 * width(field);
  }
  return field == documents() ? 8 : 4;
}

int64_t ShardFields::all_row_bytes() const {
  return 2 * layers_ * (width_in_ + width_out_) + 16;
}

std::string ShardFields::name(int64_t field) const {
  if (is_activation(field)) {
    return fmt::format("/layer_{}/{}", field % layers_, field < layers_ ? "inputs" : "targets");
  }
  return field == tokens() ? "/tokens" : field == documents() ? "/doc" : "/pos";
}

std::string ShardFields::checksum_name(int64_t field) const {
  return name(field) + "_xxh3";
}

hdf5::Id ShardFields::file_type(int64_t field) const {
  if (is_activation(field)) {
    return hdf5::bfloat16_type();
  }
  const hid_t type = field == documents() ? H5T_STD_U64LE : H5T_STD_U32LE;
  return hdf5::Id(hdf5::check(H5Tcopy(type), "copy a type", name(field)));
}

int64_t default_chunk_rows(const ShardIdentity& identity) {
  const int64_t row_bytes = 2 * std::max(identity.width_in, identity.width_out);
  int64_t rows = kChunkRowLimit;
  while (rows > 1 && rows * row_bytes > kChunkLimit_bytes) {
    rows /= 2;
  }
  return rows;
}

}  // namespace crossloom::data
