// A small training run on synthetic shards, for the trainer's tests.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "common/hash.h"
#include "common/json_file.h"
#include "common/tensor_file.h"
#include "data/shard_set.h"
#include "data/synthetic.h"
#include "tests/support/temp_folder.h"
#include "trainer/trainer.h"

namespace crossloom::test {

inline data::SyntheticOptions tiny_data() {
  data::SyntheticOptions options;
  options.rows = 400;
  return options;
}

inline trainer::TrainOptions tiny_training(const std::string& data, const std::string& output) {
  trainer::TrainOptions options;
  options.data = data;
  options.output = output;
  options.transcoder.features = 48;
  options.transcoder.k = 4;
  options.loader.batch_tokens = 32;
  options.loader.held_out_share = 0.1;
  options.adam.learning_rate = 3e-3;
  options.steps = 50;
  options.report_every_steps = 1;
  return options;
}

inline data::SyntheticOptions large_data(int64_t width) {
  auto data = tiny_data();
  data.rows = 1200;
  data.width = width;
  return data;
}

/// Makes `options` a few steps on large_data that are large enough for two threads to share every
/// loop over features (with the default grain, kernels/ranges.h, the tiny ones run on one) and for
/// the encoder's screen.
inline void enlarge(trainer::TrainOptions& options, const std::string& data) {
  options.data = data;
  options.transcoder.features = 1100;
  options.transcoder.k = 8;
  options.loader.batch_tokens = 320;
  options.steps = 6;
}

inline void enlarge(trainer::TrainOptions& options, const std::string& folder, int64_t width) {
  data::write_synthetic_cache(folder, large_data(width));
  enlarge(options, folder);
}

inline trainer::TrainSummary run_training(const trainer::TrainOptions& options,
                                          Communicator& communicator) {
  const data::ShardSet shards(options.data);
  return trainer::train(options, shards, communicator, {});
}

/// All bytes of a run's newest weights, tensor after tensor.
inline std::string weight_bytes(const std::string& checkpoint) {
  const TensorFile file(checkpoint + "/weights.safetensors");
  std::string all;
  for (const auto& [name, entry] : file.tensors()) {
    all.append(reinterpret_cast<const char*>(entry.bytes.data()), entry.bytes.size());
  }
  return all;
}

/// After a test has changed one of a checkpoint's files.
inline void renew_checksum(const std::string& checkpoint, const std::string& name) {
  const std::string manifest_path = checkpoint + "/manifest.json";
  Json manifest = Json::parse(std::ifstream(manifest_path));
  for (Json& file : manifest["files"]) {
    if (file["name"] == name) {
      const std::string path = checkpoint + "/" + name;
      file["bytes"] = std::filesystem::file_size(path);
      file["xxh3"] = hex(xxh3_of_file(path));
    }
  }
  std::ofstream(manifest_path) << manifest;
}

}  // namespace crossloom::test
