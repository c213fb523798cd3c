#include "data/manifest.h"

#include <filesystem>

#include "common/error.h"

namespace crossloom::data {
namespace {

constexpr const char* kFormat = "clt-activations-manifest";
constexpr int64_t kVersion = 1;
constexpr size_t kLimit_bytes = 256 << 20;

[[noreturn]] void fail(const std::string& what, const std::string& expected, const std::string& got,
                       const std::string& where) {
  throw DataError({.what = what,
                   .expected = expected,
                   .got = got,
                   .where = where,
                   .hint = "Make the shards again with `crossloom harvest`."});
}

ShardEntry parse_entry(const Json& value, const std::string& source) {
  ShardEntry entry{.name = json_field<std::string>(value, "name", source),
                   .rows = json_field<int64_t>(value, "rows", source),
                   .row_offset = json_field<int64_t>(value, "row_offset", source),
                   .producer_rank = json_field<int64_t>(value, "producer_rank", source),
                   .xxh3 = json_field_or<std::string>(value, "xxh3", "", source)};
  const std::filesystem::path name(entry.name);
  if (entry.name.empty() || name.has_parent_path() || entry.rows <= 0) {
    fail("A shard's entry is impossible", "a file name and at least one row",
         fmt::format("'{}', {} rows", entry.name, entry.rows), source);
  }
  return entry;
}

void check_tiling(const Manifest& manifest, const std::string& source) {
  int64_t next = 0;
  for (const auto& shard : manifest.shards) {
    if (shard.row_offset != next) {
      fail("The shards leave a hole or overlap",
           fmt::format("{} to begin at row {}", shard.name, next),
           fmt::format("row {}", shard.row_offset), source);
    }
    next += shard.rows;
  }
  if (next != manifest.rows) {
    fail("The shards and the number of rows disagree", fmt::format("{} rows", manifest.rows),
         fmt::format("{} rows in {} shards", next, manifest.shards.size()), source);
  }
}

}  // namespace

std::string manifest_path(const std::string& folder) {
  return (std::filesystem::path(folder) / "manifest.json").string();
}

bool has_manifest(const std::string& folder) {
  return std::filesystem::exists(manifest_path(folder));
}

Manifest read_manifest(const std::string& folder) {
  const std::string source = manifest_path(folder);
  if (!has_manifest(folder)) {
    fail("There is no activation cache in this folder", "manifest.json", "none", folder);
  }
  const Json json = read_json_file(source, kLimit_bytes);
  const auto format = json_field<std::string>(json, "format", source);
  const auto version = json_field<int64_t>(json, "version", source);
  if (format != kFormat || version != kVersion) {
    fail("This manifest is of another kind or version", fmt::format("{} {}", kFormat, kVersion),
         fmt::format("{} {}", format, version), source);
  }
  Manifest manifest{.complete = json_field<std::string>(json, "state", source) == "complete",
                    .rows = json_field<int64_t>(json, "rows", source),
                    .request = json_field<Json>(json, "request", source),
                    .shards = {}};
  for (const Json& value : json_field<Json>(json, "shards", source)) {
    manifest.shards.push_back(parse_entry(value, source));
  }
  check_tiling(manifest, source);
  return manifest;
}

void write_manifest(const std::string& folder, const Manifest& manifest) {
  check_tiling(manifest, manifest_path(folder));
  Json shards = Json::array();
  for (const auto& shard : manifest.shards) {
    shards.push_back({{"name", shard.name},
                      {"rows", shard.rows},
                      {"row_offset", shard.row_offset},
                      {"producer_rank", shard.producer_rank},
                      {"xxh3", shard.xxh3.empty() ? Json(nullptr) : Json(shard.xxh3)},
                      {"state", shard.xxh3.empty() ? "planned" : "complete"}});
  }
  write_json_file(manifest_path(folder), {{"format", kFormat},
                                          {"version", kVersion},
                                          {"state", manifest.complete ? "complete" : "writing"},
                                          {"rows", manifest.rows},
                                          {"request", manifest.request},
                                          {"shards", std::move(shards)}});
}

std::string request_difference(const Json& there, const Json& asked) {
  std::vector<std::string> parts;
  const auto text = [](const Json& object, const std::string& key) {
    return object.contains(key) ? object[key].dump() : std::string("nothing");
  };
  const auto compare = [&](const std::string& key) {
    const std::string a = text(there, key);
    const std::string b = text(asked, key);
    if (a != b) {
      parts.push_back(fmt::format("{}: {} there, {} asked for", key, a, b));
    }
  };
  for (const auto& [key, value] : asked.items()) {
    compare(key);
  }
  for (const auto& [key, value] : there.items()) {
    if (!asked.contains(key)) {
      compare(key);
    }
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace crossloom::data
