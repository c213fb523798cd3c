#include "data/shard_set.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <span>

#include "common/hash.h"
#include "common/log.h"
#include "common/rng.h"

namespace crossloom::data {
namespace {

constexpr const char* kHint = "Delete the damaged shard and harvest again: what is whole is kept.";

void report_strangers(const std::string& folder, const Manifest& manifest) {
  std::set<std::string> known;
  for (const auto& shard : manifest.shards) {
    known.insert(shard.name);
  }
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    const auto name = file.path().filename().string();
    const bool looks_like_one = name.ends_with(".h5") || name.ends_with(".h5.tmp");
    if (looks_like_one && !known.contains(name)) {
      log::info("{} is not in the manifest of {}: ignored", name, folder);
    }
  }
}

}  // namespace

ShardSet::ShardSet(const std::string& folder) : folder_(folder), manifest_(read_manifest(folder)) {
  if (!manifest_.complete || manifest_.shards.empty()) {
    throw DataError(
        {.what = "This activation cache is not finished",
         .expected = "state \"complete\" and at least one shard",
         .got = manifest_.complete ? "no shards" : "state \"writing\"",
         .where = manifest_path(folder),
         .hint = "Run the same `crossloom harvest` again: it goes on where it stopped."});
  }
  report_strangers(folder, manifest_);
  for (const auto& entry : manifest_.shards) {
    open_shard(entry);
  }
}

void ShardSet::open_shard(const ShardEntry& entry) {
  const std::string path = (std::filesystem::path(folder_) / entry.name).string();
  auto shard = std::make_unique<const ShardReader>(path);
  const ShardHeader& header = shard->header();
  if (hex(shard->digest()) != entry.xxh3 || header.rows != entry.rows ||
      header.row_offset != entry.row_offset) {
    throw DataError({.what = "A shard is not the one that the manifest names",
                     .expected = fmt::format("{} rows from row {}, xxh3 {}", entry.rows,
                                             entry.row_offset, entry.xxh3),
                     .got = fmt::format("{} rows from row {}, xxh3 {}", header.rows,
                                        header.row_offset, hex(shard->digest())),
                     .where = path,
                     .hint = kHint});
  }
  if (!shards_.empty()) {
    require_same(identity(), header.identity, path);
    if (header.chunk_rows != chunk_rows()) {
      throw DataError({.what = "Shards of one cache are cut into different chunks",
                       .expected = fmt::format("{} rows", chunk_rows()),
                       .got = fmt::format("{} rows", header.chunk_rows),
                       .where = path,
                       .hint = kHint});
    }
    merge(statistics_, shard->statistics());
  } else {
    statistics_ = shard->statistics();
  }
  for (int64_t chunk = 0; chunk < header.chunk_count(); ++chunk) {
    const int64_t first = chunk * header.chunk_rows;
    blocks_.push_back({int64_t(shards_.size()), chunk, header.row_offset + first,
                       std::min(header.chunk_rows, header.rows - first)});
  }
  add_runs(*shard);
  shards_.push_back(std::move(shard));
}

void ShardSet::add_runs(const ShardReader& shard) {
  int64_t row = shard.header().row_offset;
  for (const int64_t document : shard.read_documents()) {
    if (runs_.empty() || runs_.back().document != document) {
      runs_.push_back({row, row, document});
    }
    runs_.back().end = ++row;
  }
}

std::string ShardSet::digest() const {
  std::string all;
  for (const auto& shard : manifest_.shards) {
    all += shard.xxh3;
  }
  return hex(xxh3(std::as_bytes(std::span(all))));
}

int64_t ShardSet::block_of(int64_t row) const {
  const auto after =
      std::upper_bound(blocks_.begin(), blocks_.end(), row,
                       [](int64_t value, const Block& block) { return value < block.first_row; });
  CROSSLOOM_CHECK(row >= 0 && row < rows(), "row {} of {}", row, rows());
  return after - blocks_.begin() - 1;
}

RowSplit split_rows(const ShardSet& set, double share, uint64_t seed) {
  if (!(share >= 0.0 && share < 1.0)) {
    throw ConfigError({.what = "The held-out share is impossible",
                       .expected = "0 ≤ share < 1",
                       .got = fmt::format("{}", share),
                       .where = "held_out_share",
                       .hint = "0.05 is usual."});
  }
  std::vector<int64_t> documents;
  for (const auto& run : set.document_runs()) {
    documents.push_back(run.document);
  }
  std::sort(documents.begin(), documents.end());
  documents.erase(std::unique(documents.begin(), documents.end()), documents.end());
  const auto count = static_cast<uint64_t>(documents.size());
  const auto wanted = share == 0.0 ? 0 : std::max(1.0, std::round(share * double(count)));
  if (wanted >= double(count)) {
    throw ConfigError({.what = "There are too few documents to hold some out",
                       .expected = "more than one document, and some left for training",
                       .got = fmt::format("{} documents, share {}", count, share),
                       .where = set.folder(),
                       .hint = "Harvest more text or shorter documents, or set held_out_share=0."});
  }
  const Rng rng(seed, Purpose::kHeldOutDocuments);
  RowSplit split;
  for (const auto& run : set.document_runs()) {
    const auto place = std::lower_bound(documents.begin(), documents.end(), run.document);
    const auto index = static_cast<uint64_t>(place - documents.begin());
    const bool held_out = double(rng.permute(index, count)) < wanted;
    (held_out ? split.held_out : split.training).append(run.begin, run.end);
  }
  return split;
}

}  // namespace crossloom::data
