#include "common/output_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/expect_error.h"
#include "tests/support/files.h"
#include "tests/support/temp_folder.h"

namespace crossloom {
namespace {

/// Where OutputFile writes before its commit.
std::string temporary(const std::string& path) {
  return fmt::format("{}.{}.tmp", path, getpid());
}

TEST(OutputFile, AppearsOnlyAtCommit) {
  const test::TempFolder folder;
  const std::string path = folder.file("a");
  test::put_file(path, "old");
  {
    OutputFile file(path);
    file.write("new");
    EXPECT_EQ(test::bytes_of_file(path), "old");
    file.write(" text");
    file.commit();
  }
  EXPECT_EQ(test::bytes_of_file(path), "new text");
  EXPECT_FALSE(std::filesystem::exists(temporary(path)));
}

TEST(OutputFile, WithoutCommitNothingChanges) {
  const test::TempFolder folder;
  const std::string path = folder.file("a");
  test::put_file(path, "old");
  {
    OutputFile file(path);
    file.write("new");
  }
  EXPECT_EQ(test::bytes_of_file(path), "old");
  EXPECT_FALSE(std::filesystem::exists(temporary(path)));
}

TEST(OutputFile, AFullDiskLeavesTheOldFile) {
  const test::TempFolder folder;
  const std::string path = folder.file("a");
  test::put_file(path, "old");
  std::filesystem::create_symlink("/dev/full", temporary(path));
  EXPECT_ERROR(DataError, "No space left", write_file(path, "new"));
  EXPECT_EQ(test::bytes_of_file(path), "old");
}

TEST(OutputFile, AFailedRenameLeavesNothingBehind) {
  const test::TempFolder folder;
  const std::string path = folder.file("a");
  std::filesystem::create_directories(path + "/occupied");
  EXPECT_ERROR(DataError, "Cannot finish a file", write_file(path, "new"));
  EXPECT_TRUE(std::filesystem::is_directory(path + "/occupied"));
  EXPECT_FALSE(std::filesystem::exists(temporary(path)));
}

TEST(OutputFile, AMissingFolderIsNamed) {
  const test::TempFolder folder;
  EXPECT_ERROR(DataError, "no/such/a", OutputFile(folder.file("no/such/a")));
}

TEST(OutputFile, MakesFoldersAndNamesWhatIsInTheWay) {
  const test::TempFolder folder;
  make_folders(folder.file("x/y"));
  make_folders(folder.file("x/y"));
  EXPECT_TRUE(std::filesystem::is_directory(folder.file("x/y")));
  test::put_file(folder.file("f"), "");
  EXPECT_ERROR(DataError, "Cannot create a folder", make_folders(folder.file("f")));
  EXPECT_ERROR(DataError, "Cannot create a folder", make_folders(folder.file("f/g")));
}

TEST(OutputFile, FreeSpaceIsAskedOfTheNearestParent) {
  const test::TempFolder folder;
  EXPECT_NO_THROW(require_free_bytes(folder.file("not/yet/there"), 1.0, "shards"));
  EXPECT_ERROR(DataError, "for shards",
               require_free_bytes(folder.file("not/yet/there"), 1e18, "shards"));
}

}  // namespace
}  // namespace crossloom
