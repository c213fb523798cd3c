#include "trainer/checkpoint.h"

#include <filesystem>

#include "common/checkpoint_folder.h"
#include "common/json_file.h"
#include "common/output_file.h"
#include "trainer/checkpoint_files.h"
#include "trainer/memory_plan.h"

namespace crossloom::trainer {
namespace {

namespace fs = std::filesystem;

void remove_checkpoint(const fs::path& folder) {
  std::error_code ignored;
  fs::remove(folder / kCheckpointDone, ignored);  // first: what is left is then no checkpoint
  fs::remove_all(folder, ignored);
}

void remove_old(const std::string& run_folder, int64_t keep) {
  int64_t complete = 0;
  for (const auto& [step, folder] : checkpoint_folders(run_folder)) {
    if (fs::exists(folder / kCheckpointDone) && ++complete <= keep) {
      continue;
    }
    remove_checkpoint(folder);
  }
}

/// Rank 0: makes what all ranks wrote a checkpoint.
void publish(const fs::path& temporary, const fs::path& final_folder, const Json& manifest) {
  write_json_file((temporary / "manifest.json").string(), manifest);
  sync_folder(temporary.string());
  remove_checkpoint(final_folder);  // an incomplete one of the same step
  std::error_code code;
  fs::rename(temporary, final_folder, code);
  if (code) {
    throw DataError({.what = "A checkpoint cannot be given its name",
                     .expected = "a writable run folder",
                     .got = code.message(),
                     .where = final_folder.string(),
                     .hint = "Check the file system; earlier checkpoints are unchanged."});
  }
  sync_folder(final_folder.parent_path().string());
  write_file((final_folder / kCheckpointDone).string(), "");
}

}  // namespace

void save_checkpoint(const std::string& run_folder, int64_t step, const TrainingState& state,
                     Communicator& communicator) {
  const fs::path final_folder = fs::path(run_folder) / fmt::format("step_{}", step);
  const fs::path temporary = final_folder.string() + ".tmp";
  communicator.agree([&] {
    if (communicator.rank() == 0) {
      const double bytes =
          checkpoint_bytes(state.options, architectures::element_count(state.parameters));
      require_free_bytes(run_folder, 1.1 * bytes, "a checkpoint");
      std::error_code ignored;
      fs::remove_all(temporary, ignored);
      make_folders(temporary.string());
    }
  });
  communicator.agree([&] {
    try {
      write_rank_files(temporary.string(), state, communicator);
    } catch (...) {
      std::error_code ignored;
      fs::remove_all(temporary, ignored);
      throw;
    }
  });
  communicator.agree([&] {
    if (communicator.rank() == 0) {
      publish(temporary, final_folder,
              make_manifest(temporary.string(), step, state, communicator));
      remove_old(run_folder, state.options.keep_checkpoints);
    }
  });
}

int64_t load_checkpoint(const std::string& folder, const TrainingState& state,
                        Communicator& communicator) {
  int64_t step = 0;
  communicator.agree([&] {
    step = check_same_run(folder, state);
    read_state_files(folder, state);
  });
  return step;
}

}  // namespace crossloom::trainer
