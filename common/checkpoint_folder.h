// Which checkpoint of a run folder is complete: the rules that writer (trainer/) and readers
// (eval/) share. A checkpoint is a folder step_<n> with DONE, whose manifest's files are there in
// full (trainer/CHECKPOINT.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace crossloom {

inline constexpr const char* kCheckpointDone = "DONE";

/// Longer manifests and configurations are refused.
inline constexpr size_t kCheckpointText_bytes = size_t{16} << 20;

/// Folders step_<n> of a run, complete or not, newest first.
std::vector<std::pair<int64_t, std::filesystem::path>> checkpoint_folders(
    const std::string& run_folder);

/// Empty when the checkpoint is complete, else what is wrong with it. Sizes only, no checksums.
std::string checkpoint_problem(const std::string& folder);

/// Newest complete checkpoint; says which folders it passed over and why.
std::optional<std::string> newest_checkpoint(const std::string& run_folder);

/// `folder` itself when it is a complete checkpoint, else the newest one inside it. Throws
/// DataError.
std::string find_checkpoint(const std::string& folder);

}  // namespace crossloom
