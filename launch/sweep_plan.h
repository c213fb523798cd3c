// A sweep file expanded to its points: every combination of an entry's varied options, once per
// seed. A point is one training run with an id that people can read: "clt-topk.k-16.seed-1".
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "launch/sweep_file.h"

namespace crossloom::launch {

struct SweepPoint {
  std::string id;
  std::string entry;
  std::vector<std::pair<std::string, std::string>> varied;  // dotted key, value as in the file
  int64_t seed = 0;
  bool graphs = false;            // graph scores are wanted
  std::string folder;             // <output>/points/<id>
  trainer::TrainOptions options;  // complete; output is `folder`
};

/// In the order of the file. Throws ConfigError: duplicates, unknown keys, numbers that mean
/// nothing, graphs without a model or prompts.
std::vector<SweepPoint> expand_sweep(const SweepFile& file);

}  // namespace crossloom::launch
