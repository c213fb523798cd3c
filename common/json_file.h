// JSON read with limits and with errors that name the file and the key; written atomically.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace crossloom {

using Json = nlohmann::json;

/// Parses text; bounded depth, so that hostile nesting cannot exhaust the stack.
/// Throws DataError naming `source` and the byte.
Json parse_json(const std::string& text, const std::string& source);

/// Throws DataError.
Json read_json_file(const std::string& path, size_t limit_bytes);

/// Atomic (output_file.h). `indent` < 0 writes one line.
void write_json_file(const std::string& path, const Json& value, int indent = 2);

/// `object[key]`, or null when there is no such key or no object. Nothing is copied.
const Json& json_part(const Json& object, const char* key);

/// `object[key]` as T; throws DataError naming source and key when absent or of another type.
template <typename T>
T json_field(const Json& object, const char* key, const std::string& source);

/// The same, `fallback` when the key is absent or null.
template <typename T>
T json_field_or(const Json& object, const char* key, T fallback, const std::string& source);

[[noreturn]] void fail_json_field(const char* key, const std::string& expected,
                                  const std::string& got, const std::string& source);

namespace detail {
template <typename T>
constexpr const char* json_type_name() {
  if constexpr (std::is_same_v<T, bool>) {
    return "true or false";
  } else if constexpr (std::is_integral_v<T>) {
    return "a whole number";
  } else if constexpr (std::is_floating_point_v<T>) {
    return "a number";
  } else if constexpr (std::is_same_v<T, std::string>) {
    return "a string";
  } else {
    return "another type";
  }
}

template <typename T>
bool json_type_fits(const Json& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value.is_boolean();
  } else if constexpr (std::is_integral_v<T>) {
    return value.is_number_integer() &&
           (value.is_number_unsigned()
                ? std::in_range<T>(value.get_ref<const Json::number_unsigned_t&>())
                : std::in_range<T>(value.get_ref<const Json::number_integer_t&>()));
  } else if constexpr (std::is_floating_point_v<T>) {
    return value.is_number();
  } else if constexpr (std::is_same_v<T, std::string>) {
    return value.is_string();
  } else {
    return true;
  }
}
}  // namespace detail

template <typename T>
T json_field(const Json& object, const char* key, const std::string& source) {
  if (!object.is_object() || !object.contains(key)) {
    fail_json_field(key, detail::json_type_name<T>(), "nothing", source);
  }
  const Json& value = object[key];
  if (!detail::json_type_fits<T>(value)) {
    fail_json_field(key, detail::json_type_name<T>(),
                    value.dump(-1, ' ', true, Json::error_handler_t::replace), source);
  }
  return value.get<T>();
}

template <typename T>
T json_field_or(const Json& object, const char* key, T fallback, const std::string& source) {
  if (!object.is_object() || !object.contains(key) || object[key].is_null()) {
    return fallback;
  }
  return json_field<T>(object, key, source);
}

}  // namespace crossloom
