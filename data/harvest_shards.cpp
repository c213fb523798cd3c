#include "data/harvest_shards.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>

#include "common/handle.h"
#include "common/log.h"
#include "common/output_file.h"
#include "common/progress.h"
#include "data/harvest_plan.h"
#include "data/shard_reader.h"
#include "data/shard_set.h"
#include "data/shard_writer.h"
#include "data/window_rows.h"

namespace crossloom::data {
namespace {

namespace fs = std::filesystem;

struct CloseDescriptor {
  void operator()(int descriptor) const noexcept { ::close(descriptor); }
};
using FolderLock = UniqueHandle<int, CloseDescriptor, -1>;

/// One harvest at a time writes into a folder. File systems without such locks are let pass.
FolderLock lock_folder(const std::string& folder) {
  make_folders(folder);
  FolderLock lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    throw DataError({.what = "Another harvest is writing into this folder",
                     .expected = "one at a time",
                     .got = "a locked folder",
                     .where = folder,
                     .hint = "Wait for it to end, or choose another folder."});
  }
  return lock;
}

/// Removes what a killed harvest left; refuses shards that no manifest explains.
void clean_folder(const std::string& folder) {
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

std::string shard_path(const HarvestJob& job, const ShardEntry& entry) {
  return (fs::path(job.folder) / entry.name).string();
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

/// The manifest that is there, when it is of this request; not complete when a shard is missing.
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
  there.complete = there.complete && missing_shards(job, there).empty();
  return there;
}

/// Locks the folder (rank 0) and looks at what an earlier harvest left. Collective.
std::optional<Manifest> begin(const HarvestJob& job, FolderLock& lock, Communicator& comm) {
  std::optional<Manifest> earlier;
  comm.agree([&] {
    if (comm.rank() == 0) {
      lock = lock_folder(job.folder);
    }
  });
  comm.agree([&] {
    earlier = earlier_manifest(job);
    if (comm.rank() == 0 && earlier && earlier->complete) {
      const ShardSet whole(job.folder);  // nothing was damaged since
    } else if (comm.rank() == 0) {
      clean_folder(job.folder);
    }
  });
  return earlier;
}

/// Writes one shard, window by window; returns its digest. `progress` counts on from `done`.
uint64_t write_shard(const std::string& path, const ShardHeader& header,
                     const std::vector<TokenWindow>& windows, WindowRows& source,
                     Progress& progress, int64_t done) {
  ShardWriter writer(path, header);
  const int64_t end = header.row_offset + header.rows;
  auto window = window_at(windows, header.row_offset);
  for (; window != windows.end() && window->first_row < end; ++window) {
    const int64_t from = std::max<int64_t>(0, header.row_offset - window->first_row);
    const int64_t count = std::min(window->rows, end - window->first_row) - from;
    writer.append(source.rows(*window, from, count));
    done += count;
    progress.update(done);
  }
  return writer.finish();
}

/// The digest of a whole shard that an earlier run left. Throws DataError when it is not ours.
uint64_t check_earlier_shard(const HarvestJob& job, const ShardEntry& entry) {
  const ShardReader shard(shard_path(job, entry));
  require_same(job.header.identity, shard.header().identity, shard.path());
  const bool known = !entry.xxh3.empty();  // by a manifest that was complete once
  if (shard.header().rows != entry.rows || shard.header().row_offset != entry.row_offset ||
      (known && hex(shard.digest()) != entry.xxh3)) {
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

int64_t row_count(const std::vector<TokenWindow>& windows) {
  return windows.empty() ? 0 : windows.back().first_row + windows.back().rows;
}

Manifest new_plan(const HarvestJob& job, const std::vector<TokenWindow>& windows,
                  int64_t rank_count) {
  const int64_t rows = row_count(windows);
  return {.complete = false,
          .rows = rows,
          .request = job.request,
          .shards = plan_shards(rows, job.header.chunk_rows, job.shard_rows, rank_count)};
}

void check_plan(const Manifest& plan, const std::vector<TokenWindow>& windows,
                const TextSource& text) {
  if (plan.rows == 0 || plan.rows != row_count(windows)) {
    throw DataError({.what = "The text does not give the tokens it should",
                     .expected = plan.rows == 0 ? "some" : fmt::format("{} tokens", plan.rows),
                     .got = fmt::format("{} tokens", row_count(windows)),
                     .where = text.name(0),
                     .hint = "Check the text and the tokenizer."});
  }
}

/// Makes this rank's shards and fills in all digests. Collective at its end.
void write_shards(const HarvestJob& job, const std::vector<TokenWindow>& windows, Manifest& plan,
                  const std::vector<int64_t>& missing, WindowRows& source, Communicator& comm) {
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
  int64_t done = 0;
  for (const int64_t index : mine) {
    const ShardEntry& entry = plan.shards[size_t(index)];
    ShardHeader header = job.header;
    header.rows = entry.rows;
    header.row_offset = entry.row_offset;
    digests[size_t(index)] =
        write_shard(shard_path(job, entry), header, windows, source, progress, done);
    owner[size_t(index)] = comm.rank();
    done += entry.rows;
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

/// Before anything is written, on every rank that will work: one window goes through the model, so
/// that weights that cannot be loaded or a wrong shape leave the folder as it was.
void try_forward(const Manifest& plan, const std::vector<int64_t>& missing,
                 const std::vector<TokenWindow>& windows, WindowRows& source, Communicator& comm) {
  const auto mine = deal_shards(missing, comm.rank(), comm.size());
  if (!mine.empty()) {
    const auto window = window_at(windows, plan.shards[size_t(mine.front())].row_offset);
    source.rows(*window, 0, window->rows);
  }
}

/// Plans the shards, makes sure that they can be made, and writes the manifest. Collective.
Manifest make_plan(const HarvestJob& job, const std::optional<Manifest>& earlier,
                   const std::vector<TokenWindow>& windows, std::vector<int64_t>& missing,
                   const TextSource& text, WindowRows& source, Communicator& comm) {
  Manifest plan;
  comm.agree([&] {
    plan = earlier ? *earlier : new_plan(job, windows, comm.size());
    missing = missing_shards(job, plan);
    check_plan(plan, windows, text);
    if (comm.rank() == 0) {
      require_disk(job, plan, missing);
    }
    try_forward(plan, missing, windows, source, comm);
  });
  for (const int64_t index : missing) {
    plan.shards[size_t(index)].xxh3.clear();
  }
  comm.agree([&] {
    if (comm.rank() == 0) {
      write_manifest(job.folder, plan);
    }
  });
  return plan;
}

}  // namespace

Manifest harvest_shards(const HarvestJob& job, const TextSource& text, const TextEncoder& encoder,
                        const WindowForward& forward, Communicator& comm) {
  FolderLock lock;
  const auto earlier = begin(job, lock, comm);
  if (earlier && earlier->complete) {
    log::info("{} already holds these {} tokens: nothing to do", job.folder, earlier->rows);
    return *earlier;
  }
  const auto windows =
      plan_windows(text, encoder, job.header.identity.context_len, job.max_tokens, comm);
  WindowRows source(text, encoder, forward, job.header.identity);
  std::vector<int64_t> missing;
  Manifest plan = make_plan(job, earlier, windows, missing, text, source, comm);
  write_shards(job, windows, plan, missing, source, comm);
  plan.complete = true;
  comm.agree([&] {
    if (comm.rank() == 0) {
      write_manifest(job.folder, plan);
    }
  });
  return plan;
}

}  // namespace crossloom::data
