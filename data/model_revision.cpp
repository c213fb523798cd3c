#include "data/model_revision.h"

#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <vector>

#include "common/error.h"
#include "common/mapped_file.h"
#include "data/shard_format.h"

namespace crossloom::data {

std::string model_revision(const std::string& model_folder) {
  namespace fs = std::filesystem;
  std::vector<std::string> files;
  std::error_code code;
  for (const auto& file : fs::directory_iterator(model_folder, code)) {
    if (file.path().extension() == ".safetensors") {
      files.push_back(file.path().string());
    }
  }
  if (code || files.empty()) {
    throw DataError({.what = "A model folder has no weights",
                     .expected = "*.safetensors",
                     .got = code ? code.message() : "none",
                     .where = model_folder,
                     .hint = "Give a Hugging Face folder with config.json, *.safetensors and "
                             "tokenizer.json."});
  }
  std::sort(files.begin(), files.end());
  files.insert(files.begin(), (fs::path(model_folder) / "config.json").string());
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                       XXH3_freeState);
  XXH3_64bits_reset(state.get());
  for (const auto& path : files) {
    const MappedFile file(path);
    const auto size_bytes = static_cast<uint64_t>(file.bytes().size());
    XXH3_64bits_update(state.get(), &size_bytes, sizeof(size_bytes));
    XXH3_64bits_update(state.get(), file.bytes().data(), file.bytes().size());
  }
  return hex(XXH3_64bits_digest(state.get()));
}

}  // namespace crossloom::data
