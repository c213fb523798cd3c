// What a full disk and a killed process leave behind: nothing under a shard's name.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "data/shard_reader.h"
#include "data/shard_writer.h"
#include "data/synthetic.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"

namespace crossloom::data {
namespace {

constexpr SyntheticOptions kOptions{.layers = 4, .width = 64, .rows = 8192, .chunk_rows = 512};

ShardHeader header_of(int64_t rows) {
  ShardHeader header;
  header.identity = synthetic_identity(kOptions);
  header.rows = rows;
  header.chunk_rows = 512;
  return header;
}

/// A small file system of its own, when the machine permits one.
class SmallDisk {
 public:
  SmallDisk() { mounted_ = ::mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, "size=3m") == 0; }
  ~SmallDisk() {
    if (mounted_) {
      ::umount(folder_.path().c_str());
    }
  }
  bool mounted() const { return mounted_; }
  const test::TempFolder& folder() const { return folder_; }

 private:
  test::TempFolder folder_;
  bool mounted_ = false;
};

TEST(DiskFailure, AFullDiskIsNamedAndLeavesNothing) {
  const SmallDisk disk;
  if (!disk.mounted()) {
    GTEST_SKIP() << "mounting a tmpfs is not permitted here";
  }
  const std::string good = disk.folder().file("good.h5");
  {
    ShardWriter writer(good, header_of(512));
    writer.append(synthetic_rows(kOptions, 0, 512));
    writer.finish();
  }
  for (int again = 0; again < 3; ++again) {  // a leaked id or descriptor would show
    const std::string path = disk.folder().file("big.h5");
    test::expect_error<DataError>(
        [&] {
          ShardWriter writer(path, header_of(8192));  // 8.5 MB of rows
          for (int64_t done = 0; done < 8192; done += 512) {
            writer.append(synthetic_rows(kOptions, done, 512));
          }
          writer.finish();
        },
        {"HDF5 cannot write a chunk", "No space left on device", path});
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
  }
  EXPECT_EQ(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), 0) << "the library holds nothing";
  EXPECT_NO_THROW(ShardReader{good}) << "what was good is still good";
}

/// The child of the next test: writes shards for ever.
TEST(DiskFailure, DISABLED_ChildWritesForEver) {
  const char* folder = std::getenv("CROSSLOOM_TEST_CHILD_FOLDER");
  ASSERT_NE(folder, nullptr);
  for (int i = 0;; ++i) {
    ShardWriter writer(fmt::format("{}/shard_{:05}.h5", folder, i), header_of(2048));
    for (int64_t done = 0; done < 2048; done += 256) {
      writer.append(synthetic_rows(kOptions, done, 256));
    }
    writer.finish();
  }
}

pid_t start_child(const std::string& folder) {
  ::setenv("CROSSLOOM_TEST_CHILD_FOLDER", folder.c_str(), 1);
  std::string program = "/proc/self/exe";
  std::string filter = "--gtest_filter=DiskFailure.DISABLED_ChildWritesForEver";
  std::string disabled = "--gtest_also_run_disabled_tests";
  char* arguments[] = {program.data(), filter.data(), disabled.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = -1;
  const int code = ::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  return code == 0 ? child : -1;
}

int count_shards(const std::string& folder, const std::string& ending) {
  int count = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    count += file.path().filename().string().ends_with(ending) ? 1 : 0;
  }
  return count;
}

TEST(DiskFailure, AKilledWriterLeavesOnlyWholeShards) {
  int unfinished = 0;
  for (int round = 0; round < 3; ++round) {
    const test::TempFolder folder;
    const pid_t child = start_child(folder.path());
    ASSERT_GT(child, 0);
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (count_shards(folder.path(), ".h5") < 2 + round &&
           std::chrono::steady_clock::now() < give_up) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    while (count_shards(folder.path(), ".h5.tmp") == 0 &&
           std::chrono::steady_clock::now() < give_up) {
      std::this_thread::yield();
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ASSERT_GE(count_shards(folder.path(), ".h5"), 2);
    unfinished += count_shards(folder.path(), ".h5.tmp");
    for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
      if (file.path().extension() == ".h5") {
        const ShardReader reader(file.path().string());
        std::vector<std::byte> chunk(size_t(512 * reader.fields().row_bytes(0)));
        for (int64_t i = 0; i < reader.header().chunk_count(); ++i) {
          EXPECT_NO_THROW(reader.read_chunk(0, i, chunk));
        }
      }
    }
  }
  EXPECT_GT(unfinished, 0) << "no writer was killed in the middle: the test shows nothing";
}

}  // namespace
}  // namespace crossloom::data
