#include "eval/calibration.h"

#include <algorithm>
#include <cmath>

#include "architectures/registry.h"
#include "common/json_file.h"
#include "data/window_buffer.h"

namespace crossloom::eval {
namespace {

constexpr size_t kThresholdsLimit_bytes = size_t{1} << 30;
constexpr int64_t kChunkRows = 512;

/// The `count` largest of `values` (or all of them), any order.
at::Tensor largest(const at::Tensor& values, int64_t count) {
  return std::get<0>(at::topk(values, std::min(count, values.numel()), 0, true, false));
}

[[noreturn]] void wrong_threshold(const std::string& path, const std::string& where,
                                  const std::string& expected, const std::string& got) {
  throw DataError({.what = "A thresholds file does not fit the transcoder",
                   .expected = expected,
                   .got = got,
                   .where = fmt::format("{}, {}", path, where),
                   .hint =
                       "The form: {\"thresholds\": [θ_0, θ_1, …]}, for each layer a number or a "
                       "list with one number per feature; calibration.json has it."});
}

/// What stands where a list under the key "thresholds" should.
std::string found_instead(const Json& file, const Json& list) {
  if (!file.is_object()) {
    return fmt::format("no object: {}", file.is_array() ? "a bare list" : file.type_name());
  }
  if (!file.contains("thresholds")) {
    return "no such key";
  }
  return list.is_array() ? fmt::format("{} entries", list.size()) : list.type_name();
}

double positive_number(const Json& value, const std::string& path, const std::string& where) {
  if (!value.is_number() || !(value.get<double>() > 0.0) || !std::isfinite(value.get<double>())) {
    wrong_threshold(path, where, "a positive number", value.dump());
  }
  return value.get<double>();
}

}  // namespace

std::vector<double> calibrated_thresholds(const TrainedTranscoder& trained,
                                          const data::ShardSet& shards,
                                          const data::RowSelection& training, int64_t k,
                                          int64_t sample) {
  const auto& transcoder = *trained.transcoder;
  const auto rows = data::spread_rows(training, sample);
  const auto taken = static_cast<int64_t>(rows.size());
  std::vector<at::Tensor> best(static_cast<size_t>(transcoder.shape().layers));
  for (int64_t first = 0; first < taken; first += kChunkRows) {
    const auto chunk = std::span(rows).subspan(
        static_cast<size_t>(first), static_cast<size_t>(std::min(kChunkRows, taken - first)));
    const data::Batch batch = data::read_rows(shards, chunk);
    for (size_t l = 0; l < best.size(); ++l) {
      const auto layer = static_cast<int64_t>(l);
      at::Tensor x = at::empty(batch.x[l].sizes(), at::TensorOptions(transcoder.type()));
      trained.normalizer.normalize_input(layer, batch.x[l], x);
      const at::Tensor h = largest(transcoder.pre_activations(layer, x).view(-1), k * taken);
      best[l] = best[l].defined() ? largest(at::cat({best[l], h}), k * taken) : h;
    }
  }
  std::vector<double> thresholds;
  for (size_t l = 0; l < best.size(); ++l) {
    thresholds.push_back(best[l].min().item<double>());
    if (best[l].numel() < k * taken || !(thresholds.back() > 0.0)) {
      throw DataError({.what = "A layer has too few positive pre-activations",
                       .expected = fmt::format("at least {} per token", k),
                       .got = fmt::format("{:.1f}", best[l].gt(0).sum().item<double>() /
                                                        static_cast<double>(taken)),
                       .where = fmt::format("layer {}", l),
                       .hint = "Choose a smaller k."});
    }
  }
  return thresholds;
}

at::Tensor read_thresholds(const std::string& path, const architectures::TranscoderShape& shape) {
  const Json file = read_json_file(path, kThresholdsLimit_bytes);
  const Json& list = json_part(file, "thresholds");
  if (!list.is_array() || std::cmp_not_equal(list.size(), shape.layers)) {
    wrong_threshold(path, "key thresholds",
                    fmt::format("an object whose key \"thresholds\" lists {} layers", shape.layers),
                    found_instead(file, list));
  }
  at::Tensor thresholds = at::empty({shape.layers, shape.features}, at::kDouble);
  for (int64_t l = 0; l < shape.layers; ++l) {
    const std::string where = fmt::format("layer {}", l);
    const Json& entry = list[static_cast<size_t>(l)];
    if (!entry.is_array()) {
      thresholds[l].fill_(positive_number(entry, path, where));
      continue;
    }
    if (std::cmp_not_equal(entry.size(), shape.features)) {
      wrong_threshold(path, where, fmt::format("{} features", shape.features),
                      fmt::format("{} numbers", entry.size()));
    }
    std::vector<double> values;
    for (const Json& value : entry) {
      values.push_back(positive_number(value, path, where));
    }
    thresholds[l].copy_(at::tensor(values, at::TensorOptions(at::kDouble)));
  }
  return thresholds;
}

Json thresholds_json(const at::Tensor& thresholds) {
  const at::Tensor exact = thresholds.to(at::kDouble).contiguous();
  Json list = Json::array();
  for (int64_t l = 0; l < exact.size(0); ++l) {
    const at::Tensor row = exact[l];
    if (row.eq(row[0]).all().item<bool>()) {
      list.push_back(row[0].item<double>());
    } else {
      const auto* values = row.const_data_ptr<double>();
      list.push_back(std::vector<double>(values, values + row.numel()));
    }
  }
  return list;
}

std::string jumprelu_form(const std::string& architecture) {
  const auto& registry = architectures::Registry::instance();
  const auto& row = registry.row(architecture);
  if (row.activation != "topk" && row.activation != "batchtopk") {
    throw ConfigError({.what = "Only a selection can be replaced by thresholds",
                       .expected = "a topk or batchtopk architecture",
                       .got = row.name,
                       .where = "architecture",
                       .hint = "ReLU and JumpReLU transcoders depend on the token alone already."});
  }
  const auto same =
      std::find_if(registry.rows().begin(), registry.rows().end(), [&](const auto& r) {
        return r.topology == row.topology && r.skip == row.skip && r.activation == "jumprelu";
      });
  if (same == registry.rows().end()) {
    throw ConfigError({.what = "There is no JumpReLU form of this architecture",
                       .expected = "an architecture whose topology also exists with JumpReLU",
                       .got = row.name,
                       .where = "architecture",
                       .hint = "clt, clt-incremental and plt types have one; clt-source-tied and "
                               "the affine types have none."});
  }
  return same->name;
}

std::unique_ptr<architectures::Transcoder> with_thresholds(const architectures::Transcoder& from,
                                                           const at::Tensor& thresholds) {
  architectures::TranscoderOptions options = from.options();
  options.architecture = jumprelu_form(options.architecture);
  auto transcoder = architectures::Registry::instance().create(options, from.shape(), from.type());
  const std::string prefix = "log_threshold_";
  for (const auto& parameter : transcoder->parameters()) {
    if (parameter.name.starts_with(prefix)) {
      parameter.value.copy_(thresholds[std::stoll(parameter.name.substr(prefix.size()))].log());
    } else {
      parameter.value.copy_(architectures::find_parameter(from, parameter.name));
    }
  }
  return transcoder;
}

}  // namespace crossloom::eval
