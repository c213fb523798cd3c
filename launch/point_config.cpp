#include "launch/point_config.h"

#include "common/hash.h"
#include "trainer/past_options.h"

namespace crossloom::launch {
namespace {

/// All that decides a point's numbers.
struct PointConfig : Options {
  trainer::TrainOptions train;
  std::string measured = "reconstruction";
  std::string model;
  std::string tokenizer;
  std::string data;
  int64_t windows = 0;
  std::string prompts;
  eval::AttributionOptions attribution;
  void visit(OptionVisitor& v) override {
    v.group("train", train, "");
    v.field("measured", measured, "");
    v.field("model_revision", model, "");
    v.field("tokenizer", tokenizer, "");
    v.field("data", data, "");
    v.field("windows", windows, "");
    v.field("prompts", prompts, "");
    v.group("attribution", attribution, "");
  }
};

void flatten(const YAML::Node& node, const std::string& key, Json& into) {
  if (node.IsMap()) {
    for (const auto& item : node) {
      flatten(item.second, key + (key.empty() ? "" : ".") + item.first.Scalar(), into);
    }
  } else {
    into[key] = YAML::Dump(node);
  }
}

/// Option → default value.
Json default_config() {
  PointConfig config;
  Json flat = Json::object();
  flatten(YAML::Load(options_to_yaml(config)), "", flat);
  return flat;
}

/// A recorded config with the options that it does not know as they were before they existed.
Json completed(const Json& recorded) {
  const std::string train = "train.";
  Json all = default_config();
  all.update(recorded);
  for (auto& [key, value] : all.items()) {
    if (recorded.contains(key) || !key.starts_with(train)) {
      continue;
    }
    const std::string weight = key.substr(0, key.rfind('.')) + ".weight";
    const auto before = trainer::value_before_option(key.substr(train.size()));
    if (before && all.value(weight, "0") != "0") {  // of weight 0: its other options do nothing
      value = *before;
    }
  }
  return all;
}

/// Whether the weights of a point depend on a key of its config; evaluation is made again.
bool decides_training(const std::string& key) {
  return key.starts_with("train.") || key == "model_revision" || key == "tokenizer" ||
         key == "data";
}

}  // namespace

Json point_config(const SweepInputs& inputs, const SweepPoint& point) {
  const auto& identity = inputs.shards.identity();
  PointConfig config;
  config.train = point.options;
  const trainer::TrainOptions defaults;
  config.train.data = config.train.output = "";  // folders may move
  config.train.evaluate_every_steps = defaults.evaluate_every_steps;
  config.train.checkpoint_every_steps = defaults.checkpoint_every_steps;
  config.train.keep_checkpoints = defaults.keep_checkpoints;
  config.train.report_every_steps = defaults.report_every_steps;
  config.model = identity.model_revision;
  config.tokenizer = identity.tokenizer_hash;
  config.data = fmt::format("{} → {}, {}, context {}, {} rows", identity.hook_in, identity.hook_out,
                            identity.bos_policy, identity.context_len, inputs.shards.rows());
  for (const auto& shard : inputs.shards.manifest().shards) {
    config.data += ", " + shard.xxh3;
  }
  if (!inputs.file.model.empty()) {
    config.measured += ", replacement";
    config.windows = inputs.file.windows;
  }
  if (point.graphs) {
    config.measured += ", graphs";
    config.prompts = config_hash(inputs.prompts);
    config.attribution = inputs.file.attribution;
  }
  Json flat = Json::object();
  flatten(YAML::Load(options_to_yaml(config)), "", flat);
  return flat;
}

std::string config_hash(const Json& config) {
  const std::string text = config.dump(-1, ' ', false, Json::error_handler_t::replace);
  return hex(xxh3(std::as_bytes(std::span(text))));
}

void refuse_changed_point(const SweepPoint& point, const std::string& there,
                          const std::string& now) {
  throw ConfigError({.what = fmt::format("Point '{}' was made with other options", point.id),
                     .expected = there,
                     .got = now,
                     .where = point.folder,
                     .hint = "Use another output folder, or remove this point's folder to make it "
                             "again."});
}

void require_same_config(const SweepPoint& point, const Json& recorded, const Json& now,
                         bool also_evaluation) {
  const Json there = completed(recorded);
  Json all = there;
  all.update(now);  // keys of either
  for (const auto& [key, ignored] : all.items()) {
    const Json& was = json_part(there, key.c_str());
    const Json& is = json_part(now, key.c_str());
    if (was != is && (also_evaluation || decides_training(key))) {
      const auto text = [](const Json& value) {
        return value.is_string() ? value.get<std::string>() : std::string("nothing");
      };
      refuse_changed_point(point, key + ": " + text(was), key + ": " + text(is));
    }
  }
}

}  // namespace crossloom::launch
