// A small synthetic cache in a temporary folder (data/synthetic.h).
#pragma once

#include "data/shard_set.h"
#include "data/synthetic.h"
#include "tests/support/temp_folder.h"

namespace crossloom::test {

class TinyShards {
 public:
  explicit TinyShards(data::SyntheticOptions options = {}) : options_(options) {
    data::write_synthetic_cache(folder_.path(), options_);
  }

  const std::string& folder() const { return folder_.path(); }
  std::string shard_path(int64_t index) const {
    return folder_.file(fmt::format("shard_{:05}.h5", index));
  }
  const data::SyntheticOptions& options() const { return options_; }
  /// What the cache holds, computed without it.
  data::Batch all_rows() const { return data::synthetic_rows(options_, 0, options_.rows); }

 private:
  TempFolder folder_;
  data::SyntheticOptions options_;
};

}  // namespace crossloom::test
