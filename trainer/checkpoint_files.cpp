#include "trainer/checkpoint_files.h"

#include <yaml-cpp/yaml.h>

#include <cstring>
#include <filesystem>

#include "common/checkpoint_folder.h"
#include "common/hash.h"
#include "common/mapped_file.h"
#include "common/output_file.h"
#include "common/tensor_file.h"
#include "trainer/moments_file.h"
#include "trainer/past_options.h"
#include "trainer/weights_file.h"

namespace crossloom::trainer {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kFormatVersion = 1;
constexpr const char* kFeaturesFile = "features.safetensors";
constexpr const char* kConfigFile = "config.yaml";

std::string in(const std::string& folder, const std::string& name) {
  return (fs::path(folder) / name).string();
}

Json read_manifest(const std::string& folder) {
  return read_json_file(in(folder, "manifest.json"), kCheckpointText_bytes);
}

/// Checksums of all files, or of the one called `name`.
void verify_files(const std::string& folder, const Json& manifest, const std::string& name) {
  for (const Json& file : json_field<Json>(manifest, "files", folder)) {
    const auto its_name = json_field<std::string>(file, "name", folder);
    if (!name.empty() && its_name != name) {
      continue;
    }
    const auto path = in(folder, its_name);
    if (hex(xxh3_of_file(path)) != json_field<std::string>(file, "xxh3", folder)) {
      throw DataError({.what = "A checkpoint file is damaged",
                       .expected = "the checksum of its manifest",
                       .got = "another",
                       .where = path,
                       .hint = "Remove this checkpoint folder to use an earlier one."});
    }
  }
}

/// Model and sizes first: they say more than that the activations are others.
void require_same_identity(const std::string& folder, const Json& want, const Json& got) {
  const auto require = [&](const std::string& key, const char* what) {
    if (!got.contains(key) || got[key] != want[key]) {
      throw ConfigError({.what = fmt::format("The checkpoint belongs to {}", what),
                         .expected = fmt::format("{} {}", key, want[key].dump()),
                         .got = got.contains(key) ? got[key].dump() : "nothing",
                         .where = folder,
                         .hint = "Use the shards of this run, or another output folder."});
    }
  };
  for (const auto& [key, value] : want.items()) {
    if (key != "cache") {
      require(key, "another model, or to other sizes");
    }
  }
  if (got.contains("cache")) {  // checkpoints from before it was written have none
    require("cache", "other activations of this model");
  }
}

/// An option of a group as a checkpoint knows it, or as it was before it existed.
YAML::Node saved_option(const YAML::Node& group, const YAML::Node& defaults,
                        const std::string& group_name, const std::string& name) {
  if (group && group[name]) {
    return group[name];
  }
  const auto before = value_before_option(fmt::format("{}.{}", group_name, name));
  return before ? YAML::Load(*before) : defaults[name];
}

/// A loss term of weight 0: its other options do nothing.
bool is_off(const YAML::Node& group) {
  return group && group["weight"] && group["weight"].as<double>() == 0.0;
}

/// Options that change the arithmetic; paths, intervals and reporting may differ.
void require_same_options(const std::string& folder, const TrainOptions& options) {
  const YAML::Node saved =
      YAML::Load(read_text_file(in(folder, kConfigFile), kCheckpointText_bytes));
  const YAML::Node now = YAML::Load(options_to_yaml(options));
  const YAML::Node defaults = YAML::Load(options_to_yaml(TrainOptions()));
  const auto compare = [&](const std::string& key, const YAML::Node& a, const YAML::Node& b) {
    const std::string was = YAML::Dump(a);
    const std::string is = YAML::Dump(b);
    if (was != is) {
      throw ConfigError({.what = "A run cannot go on with other options",
                         .expected = fmt::format("{}: {}", key, was),
                         .got = fmt::format("{}: {}", key, is),
                         .where = folder,
                         .hint = "Use the old value, or another output folder."});
    }
  };
  for (const char* key : {"transcoder", "adam", "loader", "sparsity", "pre_activation", "auxk",
                          "matryoshka", "k_annealing", "start", "dead"}) {
    const YAML::Node group = saved[key];
    const bool only_weight = is_off(group) && is_off(now[key]);
    for (const auto& entry : now[key]) {
      const auto name = entry.first.as<std::string>();
      if (name != "prefetch_batches" && (!only_weight || name == "weight")) {
        compare(fmt::format("{}.{}", key, name), saved_option(group, defaults[key], key, name),
                entry.second);
      }
    }
  }
  for (const char* key :
       {"steps", "reconstruction", "dtype", "weights", "deterministic", "virtual_shards"}) {
    compare(key, saved[key] ? saved[key] : defaults[key], now[key]);
  }
}

void copy_tensor(const TensorEntry& entry, const at::Tensor& into, const std::string& where) {
  require_entry(entry, dtype_of(into), into.sizes().vec(), where);
  std::memcpy(into.mutable_data_ptr(), entry.bytes.data(), entry.bytes.size());
}

}  // namespace

void write_rank_files(const std::string& folder, const TrainingState& state,
                      Communicator& communicator) {
  write_moments_file(in(folder, moments_file(communicator.rank())), state.step);
  if (communicator.rank() == 0) {
    write_weights_file(folder, {state.parameters, state.normalizer, state.target_means,
                                state.options.transcoder, state.options.loader,
                                state.identity.shape, state.identity.shards, state.identity.cache});
    write_tensor_file(in(folder, kFeaturesFile),
                      {to_write("density", state.density.density()),
                       to_write("tokens_seen", state.density.seen())},
                      {});
    write_file(in(folder, kConfigFile), options_to_yaml(state.options));
  }
}

Json make_manifest(const std::string& folder, int64_t step, const TrainingState& state,
                   const Communicator& communicator) {
  Json files = Json::array();
  const auto add = [&](const std::string& name) {
    const std::string path = in(folder, name);
    files.push_back(
        {{"name", name}, {"bytes", fs::file_size(path)}, {"xxh3", hex(xxh3_of_file(path))}});
  };
  add(kWeightsFile);
  add(kFeaturesFile);
  add(kConfigFile);
  for (int r = 0; r < communicator.size(); ++r) {
    add(moments_file(r));
  }
  return {{"format", "crossloom-checkpoint"},
          {"version", kFormatVersion},
          {"step", step},
          {"tokens", step * state.options.loader.batch_tokens},
          {"ranks", communicator.size()},
          {"virtual_shards", state.step.exchange().shards()},
          {"sampler", {{"seed", state.options.loader.seed}, {"next_step", step}}},
          {"identity",
           identity_json(state.identity.shape, state.identity.shards, state.identity.cache)},
          {"files", files}};
}

int64_t check_same_run(const std::string& folder, const TrainingState& state) {
  const Json manifest = read_manifest(folder);
  if (!manifest.contains("ranks")) {
    throw ConfigError({.what = "This folder holds weights only",
                       .expected = "a training run's checkpoint, with its moments",
                       .got = "a transcoder that was converted",
                       .where = folder,
                       .hint = "Train into another output folder."});
  }
  const Json want =
      identity_json(state.identity.shape, state.identity.shards, state.identity.cache);
  require_same_identity(folder, want, json_field<Json>(manifest, "identity", folder));
  verify_files(folder, manifest, "");
  require_same_options(folder, state.options);
  return json_field<int64_t>(manifest, "step", folder);
}

void verify_checkpoint_file(const std::string& folder, const std::string& name) {
  verify_files(folder, read_manifest(folder), name);
}

void read_state_files(const std::string& folder, const TrainingState& state) {
  const TensorFile weights(in(folder, kWeightsFile));
  for (const auto& parameter : state.parameters) {
    copy_tensor(weights.at(parameter.name), parameter.value,
                fmt::format("{}, {}", weights.source(), parameter.name));
  }
  const TensorFile features(in(folder, kFeaturesFile));
  copy_tensor(features.at("density"), state.density.density(), features.source());
  copy_tensor(features.at("tokens_seen"), state.density.seen(), features.source());
  const auto writers = json_field<int64_t>(read_manifest(folder), "ranks", folder);
  for (int64_t r = 0; r < writers; ++r) {
    read_moments_file(in(folder, moments_file(r)), state.step);
  }
}

}  // namespace crossloom::trainer
