#include "eval/trained_transcoder.h"

#include <filesystem>

#include "architectures/registry.h"
#include "common/checkpoint_folder.h"
#include "common/json_file.h"
#include "common/tensor_file.h"

namespace crossloom::eval {
namespace {

const std::string& metadata(const TensorFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) {
    fail_json_field(key, "text", "nothing", file.source());
  }
  return found->second;
}

void check_format(const TensorFile& file) {
  const auto& format = metadata(file, "format");
  const auto& version = metadata(file, "version");
  if (format != "crossloom-transcoder" || version != "1") {
    throw DataError({.what = "A weights file is of another kind",
                     .expected = "crossloom-transcoder, version 1",
                     .got = fmt::format("{}, version {}", format, version),
                     .where = file.source(),
                     .hint = "Use a checkpoint made by crossloom train of this version."});
  }
}

data::ShardIdentity read_identity(const Json& json, const std::string& where) {
  data::ShardIdentity identity;
  identity.model = json_field<std::string>(json, "model", where);
  identity.model_revision = json_field<std::string>(json, "model_revision", where);
  identity.tokenizer_hash = json_field<std::string>(json, "tokenizer_hash", where);
  identity.hook_in = json_field<std::string>(json, "hook_in", where);
  identity.hook_out = json_field<std::string>(json, "hook_out", where);
  identity.bos_policy = json_field<std::string>(json, "bos_policy", where);
  identity.context_len = json_field<int64_t>(json, "context_len", where);
  identity.layers = json_field<int64_t>(json, "layers", where);
  identity.width_in = identity.width_out = json_field<int64_t>(json, "width", where);
  return identity;
}

at::Tensor tensor_of(const TensorEntry& entry) {
  return at::from_blob(const_cast<std::byte*>(entry.bytes.data()), entry.shape,
                       at::TensorOptions(scalar_type(entry.dtype)));
}

std::vector<double> doubles(const TensorFile& file, const char* name, int64_t count) {
  const at::Tensor tensor = tensor_of(file.at(name)).to(at::kDouble).contiguous();
  if (tensor.numel() != count) {
    fail_json_field(name, fmt::format("{} values", count), fmt::format("{}", tensor.numel()),
                    file.source());
  }
  return {tensor.const_data_ptr<double>(), tensor.const_data_ptr<double>() + count};
}

void copy_parameters(const TensorFile& file, const architectures::Transcoder& transcoder) {
  for (const auto& parameter : transcoder.parameters()) {
    const TensorEntry& entry = file.at(parameter.name);
    if (parameter.value.sizes() != at::IntArrayRef(entry.shape)) {
      throw DataError({.what = fmt::format("Parameter '{}' has the wrong shape", parameter.name),
                       .expected = fmt::format("[{}]", fmt::join(parameter.value.sizes(), ", ")),
                       .got = fmt::format("[{}]", fmt::join(entry.shape, ", ")),
                       .where = file.source(),
                       .hint = "The file may be damaged: use another checkpoint."});
    }
    parameter.value.copy_(tensor_of(entry));
  }
}

/// A source-tied transcoder as an untied one: the same function, a decoder per pair.
std::unique_ptr<architectures::Transcoder> untied(const architectures::Transcoder& tied) {
  architectures::TranscoderOptions options = tied.options();
  options.architecture = "clt-topk";
  auto result = architectures::Registry::instance().create(options, tied.shape(), tied.type());
  const at::Tensor all = at::arange(tied.shape().features, at::kInt);
  for (const auto& parameter : result->parameters()) {
    if (!parameter.name.starts_with("W_dec_")) {
      parameter.value.copy_(architectures::find_parameter(tied, parameter.name));
      continue;
    }
    const int64_t source = std::stoll(parameter.name.substr(6));
    for (int64_t target = source; target < tied.shape().layers; ++target) {
      parameter.value.select(1, target - source).copy_(tied.written_rows(source, target, all));
    }
  }
  return result;
}

}  // namespace

TrainedTranscoder open_trained_transcoder(const std::string& folder, at::ScalarType type) {
  const std::string checkpoint = find_checkpoint(folder);
  const TensorFile file((std::filesystem::path(checkpoint) / "weights.safetensors").string());
  check_format(file);
  const Json identity_json = parse_json(metadata(file, "identity"), file.source());
  const auto identity = read_identity(identity_json, file.source());
  architectures::TranscoderOptions options;
  read_options_text(options, metadata(file, "transcoder"), file.source());
  data::LoaderOptions loader;
  read_options_text(loader, metadata(file, "loader"), file.source());
  const architectures::TranscoderShape shape{identity.layers, identity.width_in, options.features};
  TrainedTranscoder trained{checkpoint,
                            architectures::Registry::instance().create(options, shape, type),
                            data::Normalizer(doubles(file, "sigma_in", identity.layers),
                                             doubles(file, "sigma_out", identity.layers)),
                            identity,
                            loader,
                            tensor_of(file.at("target_mean")).to(at::kDouble).clone(),
                            json_field_or(identity_json, "cache", std::string(), file.source())};
  copy_parameters(file, *trained.transcoder);
  return trained;
}

void fold_normalization(TrainedTranscoder& trained) {
  const auto& options = trained.transcoder->options();
  const auto& sigma_out = trained.normalizer.sigma_out();
  const std::string topology =
      architectures::Registry::instance().row(options.architecture).topology;
  if (topology == "clt-source-tied") {
    trained.transcoder = untied(*trained.transcoder);  // targets have scales of their own
  }
  const auto layer_of = [](const std::string& name) {
    return std::stoll(name.substr(name.rfind('_') + 1));
  };
  for (const auto& parameter : trained.transcoder->parameters()) {
    const int64_t layer = layer_of(parameter.name);
    const auto& value = parameter.value;
    if (parameter.name.starts_with("W_enc_")) {
      value.copy_(trained.normalizer.fold_encoder(layer, value));
    } else if (parameter.name.starts_with("W_dec_")) {
      const at::Tensor rows = value.dim() == 3 ? value : value.unsqueeze(1);  // [F, targets, D]
      value.copy_(trained.normalizer.fold_decoder(layer, rows).view(value.sizes()));
    } else if (parameter.name.starts_with("b_dec_")) {
      value.copy_(trained.normalizer.fold_decoder_bias(layer, value));
    } else if (parameter.name.starts_with("affine_scale_")) {
      if (topology ==
          "clt-source-tied-affine") {  // the source's decoder carries the own target's σ
        for (int64_t ahead = 0; ahead < value.size(0); ++ahead) {
          value.select(0, ahead).mul_(sigma_out[static_cast<size_t>(layer + ahead)] /
                                      sigma_out[static_cast<size_t>(layer)]);
        }
      }
    } else if (parameter.name.starts_with("W_skip_")) {
      value.copy_(trained.normalizer.fold_skip(layer, value));
    } else {  // pre-activations do not change, so these do not
      CROSSLOOM_CHECK(parameter.name.starts_with("b_enc_") ||
                          parameter.name.starts_with("affine_shift_") ||
                          parameter.name.starts_with("log_threshold_") ||
                          parameter.name.starts_with("threshold_"),
                      "no folding rule for '{}'", parameter.name);
    }
  }
  const std::vector<double> ones(static_cast<size_t>(trained.transcoder->shape().layers), 1.0);
  trained.normalizer = data::Normalizer(ones, ones);
}

}  // namespace crossloom::eval
