#include "data/hdf5_file.h"

#include <filesystem>

#include "common/error.h"

namespace crossloom::data::hdf5 {
namespace {

/// Innermost entries first: the reason and what was tried; the outer ones only repeat our call.
herr_t collect(unsigned depth, const H5E_error2_t* entry, void* context) {
  auto& text = *static_cast<std::string*>(context);
  if (depth < 2 && entry->desc != nullptr) {
    text += (depth == 0 ? "" : " ← ") + std::string(entry->desc);
  }
  return 0;
}

std::string library_text() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, collect, &text);
  H5Eclear2(H5E_DEFAULT);
  return text.empty() ? "no reason given" : text;
}

/// The library's printing is a setting of each thread.
void stop_printing() {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Id file_properties(const std::string& where) {
  Id properties(check(H5Pcreate(H5P_FILE_ACCESS), "create file properties", where));
  check(H5Pset_fclose_degree(properties.get(), H5F_CLOSE_STRONG), "set file properties", where);
  return properties;
}

void write_scalar(const Id& place, const char* name, hid_t file_type, hid_t memory_type,
                  const void* value, const std::string& where) {
  const std::string at = where + ", attribute " + name;
  const Id space(check(H5Screate(H5S_SCALAR), "create a scalar", at));
  const Id attribute(
      check(H5Acreate2(place.get(), name, file_type, space.get(), H5P_DEFAULT, H5P_DEFAULT),
            "create an attribute", at));
  check(H5Awrite(attribute.get(), memory_type, value), "write an attribute", at);
}

Id text_type(const std::string& where) {
  Id type(check(H5Tcopy(H5T_C_S1), "make a text type", where));
  check(H5Tset_size(type.get(), H5T_VARIABLE), "make a text type", where);
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "make a text type", where);
  return type;
}

/// The attribute, when it is one scalar of class `wanted`.
Id open_scalar(const Id& place, const char* name, H5T_class_t wanted, const char* expected,
               const std::string& where) {
  if (!has_attribute(place, name, where)) {
    throw DataError({.what = fmt::format("Attribute '{}' is missing", name),
                     .expected = expected,
                     .got = "nothing",
                     .where = where,
                     .hint = "Is this file of the kind and version it should be?"});
  }
  const std::string at = where + ", attribute " + name;
  Id attribute(check(H5Aopen(place.get(), name, H5P_DEFAULT), "open an attribute", at));
  const Id type(check(H5Aget_type(attribute.get()), "read an attribute's type", at));
  const Id space(check(H5Aget_space(attribute.get()), "read an attribute's extent", at));
  const bool fits = H5Tget_class(type.get()) == wanted &&
                    H5Sget_simple_extent_npoints(space.get()) == 1 &&
                    (wanted != H5T_STRING || H5Tis_variable_str(type.get()) > 0);
  if (!fits) {
    throw DataError({.what = fmt::format("Attribute '{}' is of the wrong kind", name),
                     .expected = expected,
                     .got = "another type or extent",
                     .where = where,
                     .hint = "Is this file of the kind and version it should be?"});
  }
  return attribute;
}

void write_values(const Id& place, const std::string& name, hid_t type, const void* values,
                  size_t count, const std::vector<int64_t>& shape, const std::string& where) {
  const std::string at = where + ", dataset " + name;
  size_t need = 1;
  for (const int64_t extent : shape) {
    need *= static_cast<size_t>(extent);
  }
  CROSSLOOM_CHECK(need == count, "{} values for shape [{}] of {}", count, fmt::join(shape, ", "),
                  at);
  const std::vector<hsize_t> extents(shape.begin(), shape.end());
  const Id space(check(shape.empty() ? H5Screate(H5S_SCALAR)
                                     : H5Screate_simple(int(shape.size()), extents.data(), nullptr),
                       "create an extent", at));
  const Id properties(check(H5Pcreate(H5P_DATASET_CREATE), "create properties", at));
  check(H5Pset_obj_track_times(properties.get(), false), "set properties", at);
  const Id dataset(check(H5Dcreate2(place.get(), name.c_str(), type, space.get(), H5P_DEFAULT,
                                    properties.get(), H5P_DEFAULT),
                         "create a dataset", at));
  check(H5Dwrite(dataset.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), "write a dataset",
        at);
}

template <typename T>
std::vector<T> read_values(const Id& place, const std::string& name, hid_t memory_type,
                           H5T_class_t wanted, const std::vector<int64_t>& shape,
                           const std::string& where) {
  const std::string at = where + ", dataset " + name;
  const Id dataset = open_dataset(place, name, where);
  const auto found = dataset_shape(dataset, at);
  const Id type(check(H5Dget_type(dataset.get()), "read a dataset's type", at));
  if (found != shape || H5Tget_class(type.get()) != wanted) {
    throw DataError({.what = "A dataset has the wrong shape or type",
                     .expected = fmt::format("[{}]", fmt::join(shape, ", ")),
                     .got = fmt::format("[{}]{}", fmt::join(found, ", "),
                                        found == shape ? " of another type" : ""),
                     .where = at,
                     .hint = "The file is damaged or was not written by this program: make it "
                             "again."});
  }
  size_t count = 1;
  for (const int64_t extent : shape) {
    count *= static_cast<size_t>(extent);
  }
  std::vector<T> values(count);
  check(H5Dread(dataset.get(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()),
        "read a dataset", at);
  return values;
}

}  // namespace

void fail(const char* action, const std::string& where) {
  throw DataError({.what = fmt::format("HDF5 cannot {}", action),
                   .expected = {},
                   .got = library_text(),
                   .where = where,
                   .hint = "Check free space, permissions, and whether the file is whole."});
}

Id create_file(const std::string& path) {
  stop_printing();
  const Id access = file_properties(path);
  const Id creation(check(H5Pcreate(H5P_FILE_CREATE), "create file properties", path));
  check(H5Pset_obj_track_times(creation.get(), false), "set file properties", path);
  return Id(check(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()),
                  "create a file", path));
}

Id open_file(const std::string& path) {
  stop_printing();
  std::error_code code;
  if (!std::filesystem::is_regular_file(path, code)) {
    throw DataError({.what = "A shard cannot be read",
                     .expected = "an HDF5 file",
                     .got = code ? code.message() : "not a regular file",
                     .where = path,
                     .hint = "Check the path."});
  }
  if (H5Fis_hdf5(path.c_str()) <= 0) {
    throw DataError({.what = "A file is not an HDF5 file, or its beginning is damaged",
                     .expected = "HDF5's signature",
                     .got = library_text(),
                     .where = path,
                     .hint = "Make it again with `crossloom harvest`."});
  }
  const Id access = file_properties(path);
  return Id(check(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), "open a file", path));
}

int file_descriptor(const Id& file, const std::string& where) {
  void* handle = nullptr;
  check(H5Fget_vfd_handle(file.get(), H5P_DEFAULT, &handle), "give its file descriptor", where);
  return *static_cast<int*>(handle);
}

Id bfloat16_type() {
  const char* const action = "make the bfloat16 type";
  Id type(check(H5Tcopy(H5T_IEEE_F32LE), action, {}));
  // Fields first, while 32 bits are there to hold both layouts; then the size; then the bias.
  check(H5Tset_fields(type.get(), 15, 7, 8, 0, 7), action, {});
  check(H5Tset_size(type.get(), 2), action, {});
  check(H5Tset_ebias(type.get(), 127), action, {});
  return type;
}

Id create_group(const Id& place, const std::string& name, const std::string& where) {
  const std::string at = where + ", group " + name;
  const Id properties(check(H5Pcreate(H5P_GROUP_CREATE), "create properties", at));
  check(H5Pset_obj_track_times(properties.get(), false), "set properties", at);
  return Id(check(H5Gcreate2(place.get(), name.c_str(), H5P_DEFAULT, properties.get(), H5P_DEFAULT),
                  "create a group", at));
}

Id open_dataset(const Id& place, const std::string& name, const std::string& where) {
  return Id(check(H5Dopen2(place.get(), name.c_str(), H5P_DEFAULT), "open a dataset",
                  where + ", dataset " + name));
}

std::vector<int64_t> dataset_shape(const Id& dataset, const std::string& where) {
  const Id space(check(H5Dget_space(dataset.get()), "read an extent", where));
  const int rank = check(H5Sget_simple_extent_ndims(space.get()), "read an extent", where);
  std::vector<hsize_t> extents(size_t(rank), 0);
  check(H5Sget_simple_extent_dims(space.get(), extents.data(), nullptr), "read an extent", where);
  std::vector<int64_t> shape;
  for (const hsize_t extent : extents) {
    shape.push_back(static_cast<int64_t>(extent));
  }
  return shape;
}

void write_attribute(const Id& place, const char* name, const std::string& value,
                     const std::string& where) {
  const char* text = value.c_str();
  const Id type = text_type(where);
  write_scalar(place, name, type.get(), type.get(), &text, where);
}

void write_attribute(const Id& place, const char* name, int64_t value, const std::string& where) {
  write_scalar(place, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value, where);
}

void write_attribute(const Id& place, const char* name, uint64_t value, const std::string& where) {
  write_scalar(place, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, &value, where);
}

void write_attribute(const Id& place, const char* name, uint8_t value, const std::string& where) {
  write_scalar(place, name, H5T_STD_U8LE, H5T_NATIVE_UINT8, &value, where);
}

bool has_attribute(const Id& place, const char* name, const std::string& where) {
  return check(H5Aexists(place.get(), name), "look for an attribute",
               where + ", attribute " + name) > 0;
}

std::string read_string_attribute(const Id& place, const char* name, const std::string& where) {
  const Id attribute = open_scalar(place, name, H5T_STRING, "a UTF-8 string", where);
  const Id type = text_type(where);
  char* text = nullptr;
  check(H5Aread(attribute.get(), type.get(), &text), "read an attribute", where);
  std::string value = text == nullptr ? "" : text;
  H5free_memory(text);
  return value;
}

int64_t read_int_attribute(const Id& place, const char* name, const std::string& where) {
  const Id attribute = open_scalar(place, name, H5T_INTEGER, "a whole number", where);
  int64_t value = 0;
  check(H5Aread(attribute.get(), H5T_NATIVE_INT64, &value), "read an attribute", where);
  return value;
}

uint64_t read_unsigned_attribute(const Id& place, const char* name, const std::string& where) {
  const Id attribute = open_scalar(place, name, H5T_INTEGER, "a whole number", where);
  uint64_t value = 0;
  check(H5Aread(attribute.get(), H5T_NATIVE_UINT64, &value), "read an attribute", where);
  return value;
}

void write_array(const Id& place, const std::string& name, std::span<const double> values,
                 const std::vector<int64_t>& shape, const std::string& where) {
  write_values(place, name, H5T_IEEE_F64LE, values.data(), values.size(), shape, where);
}

void write_array(const Id& place, const std::string& name, std::span<const uint64_t> values,
                 const std::vector<int64_t>& shape, const std::string& where) {
  write_values(place, name, H5T_STD_U64LE, values.data(), values.size(), shape, where);
}

std::vector<double> read_doubles(const Id& place, const std::string& name,
                                 const std::vector<int64_t>& shape, const std::string& where) {
  return read_values<double>(place, name, H5T_NATIVE_DOUBLE, H5T_FLOAT, shape, where);
}

std::vector<uint64_t> read_unsigned(const Id& place, const std::string& name,
                                    const std::vector<int64_t>& shape, const std::string& where) {
  return read_values<uint64_t>(place, name, H5T_NATIVE_UINT64, H5T_INTEGER, shape, where);
}

}  // namespace crossloom::data::hdf5
