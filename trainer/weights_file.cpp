#include "trainer/weights_file.h"

#include <filesystem>

namespace crossloom::trainer {
namespace {

constexpr int kFormatVersion = 1;

at::Tensor scales(const std::vector<double>& values) {
  return at::tensor(values, at::TensorOptions(at::kDouble));
}

}  // namespace

TensorToWrite to_write(const std::string& name, const at::Tensor& tensor) {
  return {name, dtype_of(tensor), tensor.sizes().vec(), bytes_of(tensor)};
}

void require_entry(const TensorEntry& entry, DType type, const std::vector<int64_t>& shape,
                   const std::string& where) {
  if (type != entry.dtype || shape != entry.shape) {
    throw DataError(
        {.what = "A checkpoint's tensor does not fit",
         .expected = fmt::format("[{}] of {}", fmt::join(shape, ", "), dtype_info(type).name),
         .got =
             fmt::format("[{}] of {}", fmt::join(entry.shape, ", "), dtype_info(entry.dtype).name),
         .where = where,
         .hint = "Is this a checkpoint of the same run?"});
  }
}

Json identity_json(const architectures::TranscoderShape& shape, const data::ShardIdentity& shards,
                   const std::string& cache) {
  return {{"model", shards.model},
          {"model_revision", shards.model_revision},
          {"tokenizer_hash", shards.tokenizer_hash},
          {"hook_in", shards.hook_in},
          {"hook_out", shards.hook_out},
          {"bos_policy", shards.bos_policy},
          {"context_len", shards.context_len},
          {"layers", shape.layers},
          {"width", shape.width},
          {"features", shape.features},
          {"cache", cache}};
}

void write_weights_file(const std::string& folder, const WeightsFile& file) {
  std::vector<TensorToWrite> tensors;
  for (const auto& parameter : file.parameters) {
    tensors.push_back(to_write(parameter.name, parameter.value));
  }
  const at::Tensor sigma_in = scales(file.normalizer.sigma_in());
  const at::Tensor sigma_out = scales(file.normalizer.sigma_out());
  tensors.push_back(to_write("sigma_in", sigma_in));
  tensors.push_back(to_write("sigma_out", sigma_out));
  tensors.push_back(to_write("target_mean", file.target_means));
  write_tensor_file((std::filesystem::path(folder) / kWeightsFile).string(), tensors,
                    {{"format", "crossloom-transcoder"},
                     {"version", fmt::format("{}", kFormatVersion)},
                     {"transcoder", options_to_yaml(file.transcoder)},
                     {"loader", options_to_yaml(file.loader)},
                     {"identity", identity_json(file.shape, file.shards, file.cache).dump()}});
}

}  // namespace crossloom::trainer
