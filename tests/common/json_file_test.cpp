#include "common/json_file.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"

namespace crossloom {
namespace {

TEST(JsonFile, DepthIsLimited) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_NO_THROW(parse_json(nested(200), "s"));
  EXPECT_ERROR(DataError, "nested too deeply", parse_json(nested(201), "s"));
  EXPECT_ERROR(DataError, "nested too deeply", parse_json(std::string(1 << 20, '['), "s"));
  // Brackets inside strings, escaped quotes included, do not count.
  EXPECT_NO_THROW(parse_json("\"\\\"" + std::string(500, '[') + "\"", "s"));
}

TEST(JsonFile, ErrorsNameSourceAndPlace) {
  EXPECT_ERROR(DataError, "some.json", parse_json("{\"a\": }", "some.json"));
  EXPECT_ERROR(DataError, "column 7", parse_json("{\"a\": }", "some.json"));
  EXPECT_ERROR(DataError, "not valid JSON", parse_json("", "some.json"));
  EXPECT_ERROR(DataError, "not valid JSON", parse_json("\"\xff\"", "some.json"));
  EXPECT_ERROR(DataError, "not valid JSON", parse_json("1e999", "some.json"));
}

TEST(JsonFile, FieldsAreTyped) {
  const Json object = parse_json(R"({"i": 3, "n": -1, "f": 1.5, "s": "x", "b": true, "z": null,
                                     "big": 18446744073709551615})",
                                 "s");
  EXPECT_EQ(json_field<int64_t>(object, "i", "s"), 3);
  EXPECT_EQ(json_field<double>(object, "i", "s"), 3.0);
  EXPECT_EQ(json_field<uint64_t>(object, "big", "s"), ~uint64_t{0});
  EXPECT_EQ(json_field<std::string>(object, "s", "s"), "x");
  EXPECT_ERROR(DataError, "'f'", json_field<int64_t>(object, "f", "s"));
  EXPECT_ERROR(DataError, "a whole number", json_field<int64_t>(object, "big", "s"));
  EXPECT_ERROR(DataError, "a whole number", json_field<uint32_t>(object, "n", "s"));
  EXPECT_ERROR(DataError, "true or false", json_field<bool>(object, "i", "s"));
  EXPECT_ERROR(DataError, "nothing", json_field<bool>(object, "absent", "s"));
  EXPECT_ERROR(DataError, "nothing", json_field<bool>(Json::array(), "absent", "s"));
}

TEST(JsonFile, AbsentAndNullFallBack) {
  const Json object = parse_json(R"({"z": null, "i": 3})", "s");
  EXPECT_EQ(json_field_or<int64_t>(object, "z", 7, "s"), 7);
  EXPECT_EQ(json_field_or<int64_t>(object, "absent", 7, "s"), 7);
  EXPECT_EQ(json_field_or<int64_t>(object, "i", 7, "s"), 3);
  EXPECT_TRUE(json_part(object, "absent").is_null());
  EXPECT_TRUE(json_part(Json(3), "absent").is_null());
  EXPECT_EQ(json_part(object, "i"), 3);
}

TEST(JsonFile, WritesWhatItReadsAndRefusesLargeFiles) {
  const test::TempFolder folder;
  const std::string path = folder.file("a.json");
  const Json value = {{"list", {1, 2.5, "x\n\xff"}}, {"none", nullptr}};  // invalid UTF-8 replaced
  write_json_file(path, value);
  EXPECT_EQ(read_json_file(path, 1000)["list"][2], "x\n\uFFFD");
  EXPECT_ERROR(DataError, "too large", read_json_file(path, 10));
  EXPECT_ERROR(DataError, "cannot be read", read_json_file(folder.file("absent"), 10));
  EXPECT_ERROR(DataError, "not a regular file", read_json_file(folder.path(), 10));
}

}  // namespace
}  // namespace crossloom
