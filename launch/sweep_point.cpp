#include "launch/sweep_point.h"

#include <ATen/Parallel.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "common/checkpoint_folder.h"
#include "common/log.h"
#include "common/output_file.h"
#include "launch/graph_scores.h"
#include "launch/point_config.h"
#include "launch/train_run.h"
#include "trainer/guard.h"

namespace crossloom::launch {
namespace {

namespace fs = std::filesystem;

constexpr size_t kJsonLimit_bytes = size_t{16} << 20;

std::string in(const SweepPoint& point, const char* name) {
  return (fs::path(point.folder) / name).string();
}

const Json& object_field(const Json& json, const char* key, const std::string& path) {
  const Json& value = json_part(json, key);
  if (!value.is_object()) {
    fail_json_field(key, "an object", value.type_name(), path);
  }
  return value;
}

/// Checkpoints, unfinished ones too.
void remove_weights(const SweepPoint& point) {
  std::error_code ignored;
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(point.folder, ignored)) {
    if (entry.path().filename().string().rfind("step_", 0) == 0) {
      folders.push_back(entry.path());
    }
  }
  for (const auto& folder : folders) {
    fs::remove(folder / kCheckpointDone, ignored);  // first: what is left is then no checkpoint
    fs::remove_all(folder, ignored);
  }
}

/// Seconds of all training steps, also of those before an interruption.
double training_seconds(const SweepPoint& point) {
  std::ifstream file(in(point, "metrics.jsonl"));
  double seconds = 0.0;
  int64_t before = 0;
  for (std::string line; std::getline(file, line);) {
    const Json report = parse_json(line, in(point, "metrics.jsonl"));
    if (report.value("kind", "") == "step") {
      const auto step = report.value("step", before);
      seconds += report.value("s_per_step", 0.0) * static_cast<double>(step - before);
      before = step;
    }
  }
  return seconds;
}

/// Everything measured at a trained point, besides what is known from its options.
Json measure(SweepInputs& inputs, const SweepPoint& point, Communicator& communicator) {
  const auto& dtype = point.options.dtype;
  const auto trained = open_run(point.folder, dtype, inputs.shards, communicator);
  const auto reconstruction = held_out_reconstruction(*trained, inputs.shards, communicator);
  Json measured{{"parameters", architectures::element_count(trained->transcoder->parameters())},
                {"reconstruction", reconstruction.to_json()}};
  measured["reconstruction"]["l0_sum"] =
      std::accumulate(reconstruction.l0.begin(), reconstruction.l0.end(), 0.0);
  if (!inputs.file.model.empty()) {
    const auto session = open_host_model(*trained, inputs.file.model, dtype, communicator);
    measured["replacement"] =
        inputs.references
            .evaluate(*session, *trained, inputs.shards, inputs.file.windows, communicator)
            .to_json();
    if (point.graphs) {
      measured["graphs"] =
          score_prompts(*session, *trained, inputs.prompts, inputs.file.attribution, communicator);
    }
  }
  return measured;
}

/// Why `work` found that training has diverged; empty when it did not. It throws so on all ranks
/// alike, so all go on together.
std::string divergence(const SweepPoint& point, bool speaks, const std::function<void()>& work) {
  try {
    work();
    return {};
  } catch (const trainer::Diverged& error) {
    if (speaks) {
      log::warning(fmt::format("{}: {}", point.id, error.what()));
    }
    return error.report().what;
  }
}

Json varied_json(const SweepPoint& point) {
  Json varied = Json::object();
  for (const auto& [key, value] : point.varied) {
    const Json number = Json::parse(value, nullptr, /*allow_exceptions=*/false);
    varied[key] = number.is_number() ? number : Json(value);
  }
  return varied;
}

}  // namespace

PointState point_state(const SweepPoint& point, const Json& config) {
  const std::string description = in(point, "point.json");
  const bool finished = fs::exists(in(point, "result.json"));
  if (!fs::exists(description) || (!finished && !newest_checkpoint(point.folder))) {
    return PointState::kNew;  // it never made a step: whatever it was to be is given up
  }
  const Json there = read_json_file(description, kJsonLimit_bytes);
  require_same_config(point, object_field(there, "config", description), config, finished);
  if (!finished) {
    return PointState::kStarted;
  }
  const auto hash =
      json_field<std::string>(read_result(point), "config_hash", in(point, "result.json"));
  const auto described = json_field<std::string>(there, "config_hash", description);
  if (hash != described) {
    refuse_changed_point(point, "config_hash: " + hash, "config_hash: " + described);
  }
  return PointState::kFinished;
}

Json read_result(const SweepPoint& point) {
  const std::string path = in(point, "result.json");
  Json result = read_json_file(path, kJsonLimit_bytes);
  for (const char* key : {"id", "entry", "architecture", "config_hash"}) {
    json_field<std::string>(result, key, path);
  }
  for (const char* key : {"varied", "reconstruction", "seconds"}) {
    object_field(result, key, path);
  }
  if (!result.contains("failed") && !json_part(result["reconstruction"], "nmse").is_number()) {
    result["failed"] = "The held-out NMSE is not finite";  // JSON has null for it
  }
  return result;
}

Json run_point(SweepInputs& inputs, const SweepPoint& point, Communicator& communicator) {
  const Json config = point_config(inputs, point);
  const bool writes = communicator.rank() == 0;
  communicator.agree([&] {
    if (writes) {
      make_folders(point.folder);
      write_json_file(in(point, "point.json"),
                      {{"id", point.id}, {"config_hash", config_hash(config)}, {"config", config}});
    }
  });
  const int threads = at::get_num_threads();
  std::string failed =
      divergence(point, writes, [&] { train_run(point.options, inputs.shards, communicator); });
  at::set_num_threads(threads);  // deterministic training leaves one
  const auto trained_at = std::chrono::steady_clock::now();
  Json result{{"reconstruction", Json::object()}};
  if (failed.empty()) {
    failed = divergence(point, writes, [&] { result = measure(inputs, point, communicator); });
  }
  if (!failed.empty()) {
    result["failed"] = failed;
  }
  const double measuring =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - trained_at).count();
  result.update({{"id", point.id},
                 {"entry", point.entry},
                 {"architecture", point.options.transcoder.architecture},
                 {"varied", varied_json(point)},
                 {"seed", point.seed},
                 {"config_hash", config_hash(config)},
                 {"keep_weights", inputs.file.keep_weights}});
  communicator.agree([&] {
    if (writes) {
      const double training = training_seconds(point);
      result["seconds"] = {
          {"train", training}, {"evaluate", measuring}, {"total", training + measuring}};
      write_json_file(in(point, "result.json"), result);
      remove_unwanted_weights(point, result);
    }
  });
  return result;
}

void remove_unwanted_weights(const SweepPoint& point, const Json& result) {
  if (!json_field_or(result, "keep_weights", false, in(point, "result.json"))) {
    remove_weights(point);
  }
}

}  // namespace crossloom::launch
