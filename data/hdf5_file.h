// HDF5's C library behind owned ids and checked calls. Every failing call throws DataError with
// the library's own text (the innermost reason, e.g. "No space left on device", and the call);
// automatic printing is switched off. One thread per process talks to the library at a time: bulk
// bytes are read with pread at the addresses it reports (shard_reader.h).
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/handle.h"

namespace crossloom::data::hdf5 {

struct ReleaseId {
  void operator()(hid_t id) const noexcept { H5Idec_ref(id); }  // closes whatever kind it is
};
using Id = UniqueHandle<hid_t, ReleaseId, hid_t{-1}>;

/// Throws DataError unless `result` >= 0; `action` completes "HDF5 cannot …".
[[noreturn]] void fail(const char* action, const std::string& where);
template <typename Result>
Result check(Result result, const char* action, const std::string& where) {
  if (result < 0) {
    fail(action, where);
  }
  return result;
}

/// Creates or truncates. Throws DataError.
Id create_file(const std::string& path);
/// Read-only. Throws DataError when missing, not HDF5, or cut off.
Id open_file(const std::string& path);
/// The descriptor the library reads and writes through.
int file_descriptor(const Id& file, const std::string& where);

/// bfloat16 as a true float type, so that readers see numbers: little-endian, 16 bits, sign bit 15,
/// exponent bits 7–14 with bias 127, mantissa bits 0–6.
Id bfloat16_type();

Id create_group(const Id& place, const std::string& name, const std::string& where);
Id open_dataset(const Id& place, const std::string& name, const std::string& where);
/// Extents of a dataset.
std::vector<int64_t> dataset_shape(const Id& dataset, const std::string& where);

/// Root attributes: UTF-8 strings of variable length, int64, uint64, uint8.
void write_attribute(const Id& place, const char* name, const std::string& value,
                     const std::string& where);
void write_attribute(const Id& place, const char* name, int64_t value, const std::string& where);
void write_attribute(const Id& place, const char* name, uint64_t value, const std::string& where);
void write_attribute(const Id& place, const char* name, uint8_t value, const std::string& where);

bool has_attribute(const Id& place, const char* name, const std::string& where);
/// Throws DataError when absent or of another kind.
std::string read_string_attribute(const Id& place, const char* name, const std::string& where);
int64_t read_int_attribute(const Id& place, const char* name, const std::string& where);
uint64_t read_unsigned_attribute(const Id& place, const char* name, const std::string& where);

/// Small whole arrays; an empty shape is a scalar. Shapes are checked when reading.
void write_array(const Id& place, const std::string& name, std::span<const double> values,
                 const std::vector<int64_t>& shape, const std::string& where);
void write_array(const Id& place, const std::string& name, std::span<const uint64_t> values,
                 const std::vector<int64_t>& shape, const std::string& where);
std::vector<double> read_doubles(const Id& place, const std::string& name,
                                 const std::vector<int64_t>& shape, const std::string& where);
std::vector<uint64_t> read_unsigned(const Id& place, const std::string& name,
                                    const std::vector<int64_t>& shape, const std::string& where);

}  // namespace crossloom::data::hdf5
