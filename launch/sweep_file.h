// The file that describes a sweep: many trainings on the same shards. Read strictly; every option
// of training is known by its own struct, so nothing is listed twice.
//
//   data, output, model, windows, prompts, seeds, equal_l0, keep_weights, attribution: …
//   (SweepFile) base: {options of training} entries:
//     - name: clt-topk
//       set: {transcoder: {features: 384}}     # over base
//       vary: {transcoder.k: [8, 16, 32]}      # lists over dotted keys: all combinations
//       graphs: [1]                            # of these combinations, from 0; or true
//       seeds: [1, 2, 3]                       # instead of the file's
#pragma once

#include <string>
#include <vector>

#include "common/yaml_text.h"
#include "eval/attribute.h"
#include "trainer/train_options.h"

namespace crossloom::launch {

/// One varied option: its dotted key and the values it takes, as the file gives them.
struct SweepVariation {
  std::string key;
  std::vector<YAML::Node> values;  // scalars
};

struct SweepEntry {
  std::string name;
  trainer::TrainOptions options;  // base and this entry's own
  std::vector<SweepVariation> vary;
  std::vector<std::string> graphs;  // numbers of combinations, or one "true" or "false"
  std::vector<std::string> seeds;   // empty: those of the file
};

struct SweepFile : Options {
  std::string path;  // of the file itself
  std::string data;
  std::string output;
  std::string model;
  std::string prompts;
  int64_t windows = 8;
  std::vector<std::string> seeds = {"1"};
  std::vector<std::string> equal_l0;
  bool keep_weights = false;
  eval::AttributionOptions attribution;
  trainer::TrainOptions base;
  std::vector<SweepEntry> entries;

  void visit(OptionVisitor& v) override {
    v.field("data", data, "folder of shards");
    v.field("output", output, "sweep folder");
    v.field("model", model, "host model folder; empty: reconstruction only");
    v.field("prompts", prompts, "JSONL file, one {\"prompt\": \"…\"} per line, for graphs");
    v.field("windows", windows, "held-out windows for the replacement model");
    v.field("seeds", seeds, "each point once per seed: initial weights and order of tokens");
    v.field("equal_l0", equal_l0, "L0 at which entries are compared: NMSE interpolated to it");
    v.field("keep_weights", keep_weights, "keep the checkpoints of finished points");
    v.group("attribution", attribution, "how graphs are made");
    v.group("base", base, "options of training that all entries share");
  }
};

/// Throws ConfigError naming the file, the line and the nearest key.
SweepFile read_sweep_file(const std::string& path);
/// The same from text; `source` is what errors call it.
SweepFile read_sweep_text(const std::string& text, const std::string& source);

/// Options of training with `key` (dotted) set to a value of entry `name`. Throws ConfigError.
void apply_variation(trainer::TrainOptions& options, const std::string& key,
                     const YAML::Node& value, const std::string& name, const std::string& source);

}  // namespace crossloom::launch
