#include "common/checkpoint_folder.h"

#include <algorithm>

#include "common/error.h"
#include "common/json_file.h"
#include "common/log.h"

namespace crossloom {
namespace {

namespace fs = std::filesystem;

std::optional<int64_t> step_of(const fs::path& folder) {
  const std::string name = folder.filename().string();
  constexpr size_t kPrefix = 5;   // "step_"
  constexpr size_t kDigits = 18;  // fits int64
  if (name.rfind("step_", 0) != 0 || name.size() == kPrefix || name.size() > kPrefix + kDigits ||
      name.find_first_not_of("0123456789", kPrefix) != std::string::npos) {
    return std::nullopt;
  }
  return std::stoll(name.substr(kPrefix));
}

}  // namespace

std::vector<std::pair<int64_t, fs::path>> checkpoint_folders(const std::string& run_folder) {
  std::vector<std::pair<int64_t, fs::path>> found;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(run_folder, missing)) {
    if (const auto step = step_of(entry.path())) {
      found.emplace_back(*step, entry.path());
    }
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

std::string checkpoint_problem(const std::string& folder) {
  if (!fs::exists(fs::path(folder) / kCheckpointDone)) {
    return "it was not finished";
  }
  try {
    const auto path = (fs::path(folder) / "manifest.json").string();
    const Json files = json_field<Json>(read_json_file(path, kCheckpointText_bytes), "files", path);
    for (const Json& file : files) {
      const auto name = json_field<std::string>(file, "name", path);
      std::error_code missing;
      const auto size = fs::file_size(fs::path(folder) / name, missing);
      if (missing || size != json_field<uint64_t>(file, "bytes", path)) {
        return fmt::format("{} is missing or cut off", name);
      }
    }
    return {};
  } catch (const DataError& error) {
    return error.what();
  }
}

std::optional<std::string> newest_checkpoint(const std::string& run_folder) {
  for (const auto& [step, folder] : checkpoint_folders(run_folder)) {
    const std::string problem = checkpoint_problem(folder.string());
    if (problem.empty()) {
      return folder.string();
    }
    log::info("passed over {}: {}", folder.string(), problem);
  }
  return std::nullopt;
}

std::string find_checkpoint(const std::string& folder) {
  if (checkpoint_problem(folder).empty()) {
    return folder;
  }
  if (const auto newest = newest_checkpoint(folder)) {
    return *newest;
  }
  throw DataError({.what = "There is no complete checkpoint",
                   .expected = "a folder step_<n> with DONE, or a run folder that holds one",
                   .got = fs::exists(folder) ? "none" : "no such folder",
                   .where = folder,
                   .hint = "Train first: crossloom train --data … --output …"});
}

}  // namespace crossloom
