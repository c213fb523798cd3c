// A validator of graph JSON: the schema that Neuronpedia applies, and what viewers need beyond it.
// The graph command runs it on every file it writes; tests run it on broken ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/json_file.h"

namespace crossloom::eval {

struct GraphCheckOptions {
  /// Also the site's rules for uploads: names without '/', 1 KiB … 100 MiB, a layer above 0.
  bool for_upload = false;
  int64_t file_bytes = -1;  // < 0: not checked
};

/// What is wrong, one sentence each, at most `kMostProblems` of them; empty when all is well.
std::vector<std::string> validate_graph_json(const Json& graph,
                                             const GraphCheckOptions& options = {});

inline constexpr size_t kMostProblems = 50;

}  // namespace crossloom::eval
