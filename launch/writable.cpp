#include "launch/writable.h"

#include <filesystem>
#include <vector>

#include "common/error.h"
#include "common/output_file.h"

namespace crossloom::launch {
namespace {

namespace fs = std::filesystem;

fs::path parent_folder(const std::string& path) {
  return fs::absolute(path).parent_path();
}

/// The folder and its parents as far as they are missing, innermost first.
std::vector<fs::path> missing_folders(fs::path folder) {
  std::vector<fs::path> missing;
  std::error_code unknown;
  while (!fs::exists(folder, unknown) && folder.has_relative_path()) {
    missing.push_back(folder);
    folder = folder.parent_path();
  }
  return missing;
}

}  // namespace

void require_writable(const std::string& path) {
  std::error_code unknown;
  if (fs::is_directory(path, unknown)) {
    throw DataError({.what = "An output file has the name of a folder",
                     .expected = "the name of a file",
                     .got = "a folder",
                     .where = path,
                     .hint = "Add a file's name, or choose another."});
  }
  const auto missing = missing_folders(parent_folder(path));
  make_parent_folder(path);
  { const OutputFile probe(path); }
  for (const auto& made : missing) {  // what turns out to fail later shall leave nothing behind
    fs::remove(made, unknown);
  }
}

void make_parent_folder(const std::string& path) {
  make_folders(parent_folder(path).string());
}

}  // namespace crossloom::launch
