#include "data/harvest_shards.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "common/log.h"
#include "common/output_file.h"
#include "common/progress.h"
#include "data/harvest_plan.h"
#include "data/shard_reader.h"
#include "data/shard_set.h"
#include "data/shard_writer.h"

namespace crossloom::data {
namespace {

namespace fs = std::filesystem;

/// Removes what a killed harvest left; refuses shards that no manifest explains.
void clean_folder(const std::string& folder) {
  make_folders(folder);
  const bool explained = has_manifest(folder);
  for (const auto& file : fs::directory_iterator(folder)) {
    const auto name = file.path().filename().string();
    if (name.starts_with("shard_") && name.ends_with(".h5.tmp")) {
      fs::remove(file.path());
    } else if (!explained && name.starts_with("shard_") && name.ends_with(".h5")) {
      throw DataError({.what = "The output folder holds shards without a manifest",
                       .expected = "an empty folder, or one that an earlier harvest began",
                       .got = name,
                       .where = folder,
                       .hint = "Choose another folder, or delete these shards."});
    }
  }
}

/// The manifest that is there, when it is of this request.
std::optional<Manifest> earlier_manifest(const HarvestJob& job) {
  if (!has_manifest(job.folder)) {
    return std::nullopt;
  }
  Manifest there = read_manifest(job.folder);
  const std::string difference = request_difference(there.request, job.request);
  if (!difference.empty()) {
    throw ConfigError({.what = "The output folder holds shards of another harvest",
                       .expected = "the same model, text and options, or another folder",
                       .got = difference,
                       .where = job.folder,
                       .hint = "Choose another output folder, or delete this one."});
  }
  return there;
}

/// Writes the rows of one shard, window by window.
class ShardJob {
 public:
  ShardJob(const TextSource& text, const TextEncoder& encoder, const WindowForward& forward,
           Progress& progress)
      : text_(text), encoder_(encoder), forward_(forward), progress_(progress) {}

  uint64_t write(const std::string& path, const ShardHeader& header,
                 const std::vector<TokenWindow>& windows) {
    ShardWriter writer(path, header);
    const int64_t end = header.row_offset + header.rows;
    auto window =
        std::upper_bound(windows.begin(), windows.end(), header.row_offset,
                         [](int64_t row, const TokenWindow& w) { return row < w.first_row; });
    --window;  // the one that holds the first row
    for (; window != windows.end() && window->first_row < end; ++window) {
      const int64_t from = std::max<int64_t>(0, header.row_offset - window->first_row);
      const int64_t count = std::min(window->rows, end - window->first_row) - from;
      writer.append(rows_of(*window, from, count, header.identity));
      done_ += count;
      progress_.update(done_);
    }
    return writer.finish();
  }

 private:
  /// Rows [from, from + count) of a window; row i is position i + 1.
  Batch rows_of(const TokenWindow& window, int64_t from, int64_t count, const ShardIdentity& id) {
    const std::vector<TokenId> ids = window_ids(window);
    const WindowActivations all = forward_(ids);
    const auto positions = int64_t(ids.size());
    CROSSLOOM_CHECK(std::cmp_equal(all.x.size(), id.layers) && all.x.size() == all.y.size(),
                    "the forward pass gave {} layers, {} expected", all.x.size(), id.layers);
    Batch rows;
    for (size_t layer = 0; layer < all.x.size(); ++layer) {
      check_shape(all.x[layer], {positions, id.width_in}, "inputs of a window");
      check_shape(all.y[layer], {positions, id.width_out}, "targets of a window");
      rows.x.push_back(all.x[layer].narrow(0, from + 1, count).to(at::kBFloat16).contiguous());
      rows.y.push_back(all.y[layer].narrow(0, from + 1, count).to(at::kBFloat16).contiguous());
    }
    rows.tokens = at::empty({count}, at::kInt);
    std::copy_n(ids.begin() + from + 1, count, rows.tokens.mutable_data_ptr<int32_t>());
    rows.documents = at::full({count}, window.document, at::kLong);
    rows.positions = at::arange(from + 1, from + 1 + count, at::kInt);
    return rows;
  }

  /// Ids of a window, BOS in front: [rows + 1].
  std::vector<TokenId> window_ids(const TokenWindow& window) {
    if (window.document != document_) {
      document_ids_ = encoder_.encode(text_.text(window.document));
      document_ = window.document;
    }
    const auto begin = document_ids_.begin() + window.begin;
    auto ids = encoder_.add_bos({begin, begin + window.length});
    CROSSLOOM_CHECK(std::cmp_equal(ids.size(), window.rows + 1), "{} ids for {} rows", ids.size(),
                    window.rows);
    return ids;
  }

  const TextSource& text_;
  const TextEncoder& encoder_;
  const WindowForward& forward_;
  Progress& progress_;
  int64_t done_ = 0;
  int64_t document_ = -1;  // whose ids are in document_ids_
  std::vector<TokenId> document_ids_;
};

std::string shard_path(const HarvestJob& job, const ShardEntry& entry) {
  return (fs::path(job.folder) / entry.name).string();
}

/// The digest of a whole shard that an earlier run left. Throws DataError when it is not ours.
uint64_t check_earlier_shard(const HarvestJob& job, const ShardEntry& entry) {
  const ShardReader shard(shard_path(job, entry));
  require_same(job.header.identity, shard.header().identity, shard.path());
  if (shard.header().rows != entry.rows || shard.header().row_offset != entry.row_offset) {
    throw DataError(
        {.what = "A shard of an earlier run does not fit the plan",
         .expected = fmt::format("{} rows from row {}", entry.rows, entry.row_offset),
         .got = fmt::format("{} rows from row {}", shard.header().rows, shard.header().row_offset),
         .where = shard.path(),
         .hint = "Delete it; it is made again."});
  }
  return shard.digest();
}

void require_disk(const HarvestJob& job, const Manifest& plan, const std::vector<int64_t>& wanted) {
  const ShardFields fields(job.header.identity);
  double need_bytes = 0.0;
  for (const int64_t index : wanted) {
    ShardHeader header = job.header;
    header.rows = plan.shards[size_t(index)].rows;
    need_bytes +=
        double(header.chunk_count()) * double(header.chunk_rows) * double(fields.all_row_bytes());
  }
  require_free_bytes(job.folder, need_bytes * 1.01, "the activation shards");  // 1 %: metadata
}

Manifest new_plan(const HarvestJob& job, int64_t rows, int64_t rank_count) {
  return {.complete = false,
          .rows = rows,
          .request = job.request,
          .shards = plan_shards(rows, job.header.chunk_rows, job.shard_rows, rank_count)};
}

std::vector<int64_t> missing_shards(const HarvestJob& job, const Manifest& plan) {
  std::vector<int64_t> missing;
  for (size_t i = 0; i < plan.shards.size(); ++i) {
    if (!fs::exists(shard_path(job, plan.shards[i]))) {
      missing.push_back(int64_t(i));
    }
  }
  return missing;
}

/// Makes this rank's shards and fills in all digests. Collective at its end.
void write_shards(const HarvestJob& job, const std::vector<TokenWindow>& windows, Manifest& plan,
                  const std::vector<int64_t>& missing, const TextSource& text,
                  const TextEncoder& encoder, const WindowForward& forward, Communicator& comm) {
  std::vector<int64_t> owner(plan.shards.size(), 0);
  std::vector<uint64_t> digests(plan.shards.size(), 0);
  const auto mine = deal_shards(missing, comm.rank(), comm.size());
  int64_t my_rows = 0;
  for (const int64_t index : mine) {
    my_rows += plan.shards[size_t(index)].rows;
  }
  Progress progress(
      comm.size() == 1 ? "harvest" : fmt::format("harvest (1 of {} ranks)", comm.size()), my_rows,
      "tokens");
  ShardJob work(text, encoder, forward, progress);
  for (const int64_t index : mine) {
    const ShardEntry& entry = plan.shards[size_t(index)];
    ShardHeader header = job.header;
    header.rows = entry.rows;
    header.row_offset = entry.row_offset;
    digests[size_t(index)] = work.write(shard_path(job, entry), header, windows);
    owner[size_t(index)] = comm.rank();
  }
  for (size_t i = 0; comm.rank() == 0 && i < plan.shards.size(); ++i) {
    if (std::find(missing.begin(), missing.end(), int64_t(i)) == missing.end()) {
      digests[i] = check_earlier_shard(job, plan.shards[i]);
      owner[i] = plan.shards[i].producer_rank;
    }
  }
  comm.all_reduce(digests.data(), int64_t(digests.size()), DType::kU64, ReduceOp::kMax);
  comm.all_reduce(owner.data(), int64_t(owner.size()), DType::kI64, ReduceOp::kMax);
  for (size_t i = 0; i < plan.shards.size(); ++i) {
    plan.shards[i].xxh3 = hex(digests[i]);
    plan.shards[i].producer_rank = owner[i];
  }
}

}  // namespace

Manifest harvest_shards(const HarvestJob& job, const TextSource& text, const TextEncoder& encoder,
                        const WindowForward& forward, Communicator& comm) {
  const bool first = comm.rank() == 0;
  std::optional<Manifest> earlier;
  comm.agree([&] {
    if (first) {
      clean_folder(job.folder);
    }
  });
  comm.agree([&] {
    earlier = earlier_manifest(job);
    if (earlier && earlier->complete && first) {
      const ShardSet whole(job.folder);  // nothing was damaged since
    }
  });
  if (earlier && earlier->complete) {
    log::info("{} already holds these {} tokens: nothing to do", job.folder, earlier->rows);
    return *earlier;
  }
  const auto windows =
      plan_windows(text, encoder, job.header.identity.context_len, job.max_tokens, comm);
  const int64_t rows = windows.empty() ? 0 : windows.back().first_row + windows.back().rows;
  Manifest plan;
  std::vector<int64_t> missing;
  comm.agree([&] {
    if (rows == 0 || (earlier && earlier->rows != rows)) {
      throw DataError({.what = "The text does not give the tokens it should",
                       .expected = earlier ? fmt::format("{} tokens", earlier->rows) : "some",
                       .got = fmt::format("{} tokens", rows),
                       .where = text.name(0),
                       .hint = "Check the text and the tokenizer."});
    }
    plan = earlier ? *earlier : new_plan(job, rows, comm.size());
    missing = missing_shards(job, plan);
    if (first) {
      require_disk(job, plan, missing);
    }
  });
  comm.agree([&] {
    if (first && !earlier) {
      write_manifest(job.folder, plan);
    }
  });
  write_shards(job, windows, plan, missing, text, encoder, forward, comm);
  plan.complete = true;
  comm.agree([&] {
    if (first) {
      write_manifest(job.folder, plan);
    }
  });
  return plan;
}

}  // namespace crossloom::data
