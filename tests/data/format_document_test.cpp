// FORMAT.md names everything that a shard holds, and nothing in a shard is undocumented.
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "common/mapped_file.h"
#include "data/hdf5_file.h"
#include "tests/support/tiny_shards.h"

namespace crossloom::data {
namespace {

herr_t add_dataset(hid_t, const char* name, const H5O_info_t* info, void* names) {
  if (info->type == H5O_TYPE_DATASET) {
    const auto general =
        std::regex_replace(std::string(name), std::regex("layer_[0-9]+"), "layer_{l}");
    static_cast<std::set<std::string>*>(names)->insert(fmt::format("/{}", general));
  }
  return 0;
}

herr_t add_attribute(hid_t, const char* name, const H5A_info_t*, void* names) {
  static_cast<std::set<std::string>*>(names)->insert(name);
  return 0;
}

TEST(FormatDocument, NamesEverythingInAShard) {
  const test::TinyShards shards;
  std::set<std::string> names;
  const auto file = hdf5::open_file(shards.shard_path(0));
  ASSERT_GE(
      H5Ovisit2(file.get(), H5_INDEX_NAME, H5_ITER_NATIVE, add_dataset, &names, H5O_INFO_BASIC), 0);
  ASSERT_GE(H5Aiterate2(file.get(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, add_attribute, &names),
            0);
  EXPECT_EQ(names.size(), 38u) << "18 attributes, 5 row datasets and their checksums, 10 of norm";
  const std::string text =
      read_text_file(std::string(CROSSLOOM_TEST_FOLDER) + "/../data/FORMAT.md", 1 << 20);
  for (const auto& name : names) {
    EXPECT_NE(text.find("`" + name + "`"), std::string::npos) << name << " is not in FORMAT.md";
  }
}

}  // namespace
}  // namespace crossloom::data
