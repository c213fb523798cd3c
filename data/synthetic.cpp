#include "data/synthetic.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "common/output_file.h"
#include "common/rng.h"
#include "data/harvest_plan.h"
#include "data/manifest.h"
#include "data/shard_writer.h"

namespace crossloom::data {
namespace {

/// Standard normal [rows, columns] / √columns, float32.
at::Tensor directions(int64_t rows, int64_t columns, const Rng& rng) {
  at::Tensor result = at::empty({rows, columns}, at::kFloat);
  auto* values = result.mutable_data_ptr<float>();
  for (int64_t i = 0; i < result.numel(); ++i) {
    values[i] = rng.normal(uint64_t(i)) / std::sqrt(float(columns));
  }
  return result;
}

/// Strengths [count, G]: K active features in each row.
at::Tensor strengths(const SyntheticOptions& options, int64_t first, int64_t count) {
  at::Tensor result = at::zeros({count, options.features}, at::kFloat);
  auto* values = result.mutable_data_ptr<float>();
  const Rng rng(options.seed, Purpose::kTest);
  for (int64_t row = 0; row < count; ++row) {
    const Rng of_row = rng.with(uint64_t(first + row));
    for (int64_t k = 0; k < options.active; ++k) {
      const auto feature = of_row.permute(uint64_t(k), uint64_t(options.features));
      values[row * options.features + int64_t(feature)] = 1.0F + of_row.uniform(uint64_t(k));
    }
  }
  return result;
}

at::Tensor noise(const SyntheticOptions& options, int64_t layer, int64_t first, int64_t count) {
  at::Tensor result = at::empty({count, options.width}, at::kFloat);
  auto* values = result.mutable_data_ptr<float>();
  const Rng rng = Rng(options.seed, Purpose::kTest).with(0x6e6f697365).with(uint64_t(layer));
  for (int64_t i = 0; i < result.numel(); ++i) {
    values[i] = float(options.noise) * rng.normal(uint64_t(first * options.width + i));
  }
  return result;
}

}  // namespace

ShardIdentity synthetic_identity(const SyntheticOptions& options) {
  return {.model = "synthetic",
          .model_revision = fmt::format("seed-{}", options.seed),
          .tokenizer_hash = "none",
          .hook_in = "mlp.hook_in",
          .hook_out = "hook_mlp_out",
          .bos_policy = bos_policy_name(1),
          .layers = options.layers,
          .width_in = options.width,
          .width_out = options.width,
          .context_len = options.document_rows + 1};
}

at::Tensor synthetic_readers(const SyntheticOptions& options) {
  return directions(options.features, options.width,
                    Rng(options.seed, Purpose::kTest).with(0x72656164));
}

at::Tensor synthetic_linear(const SyntheticOptions& options, int64_t target) {
  const Rng rng = Rng(options.seed, Purpose::kTest).with(0x6c696e656172).with(uint64_t(target));
  return options.linear ? directions(options.width, options.width, rng)
                        : at::zeros({options.width, options.width}, at::kFloat);
}

at::Tensor synthetic_writers(const SyntheticOptions& options, int64_t target) {
  const Rng rng = Rng(options.seed, Purpose::kTest).with(0x7772697465);
  const at::Tensor source = at::arange(options.features, at::kLong).remainder(options.layers);
  const at::Tensor reaches =
      options.writes == "own" ? source.eq(target) : source.le(target);  // bool [G]
  const Rng of_target = rng.with(uint64_t(target));
  if (options.writes == "source") {
    return directions(options.features, options.width, rng) * reaches.unsqueeze(1);
  }
  if (options.writes == "target") {
    const int64_t per_layer = (options.features + options.layers - 1) / options.layers;
    const at::Tensor number =
        at::arange(options.features, at::kLong).div(options.layers, "floor");  // within its layer
    return directions(per_layer, options.width, of_target).index_select(0, number) *
           reaches.unsqueeze(1);
  }
  return directions(options.features, options.width, of_target) * reaches.unsqueeze(1);
}

Batch synthetic_rows(const SyntheticOptions& options, int64_t first, int64_t count) {
  const at::Tensor a = strengths(options, first, count);
  const at::Tensor source = at::arange(options.features, at::kLong).remainder(options.layers);
  const at::Tensor readers = synthetic_readers(options);
  Batch batch;
  for (int64_t layer = 0; layer < options.layers; ++layer) {
    const at::Tensor x =
        at::mm(a * source.eq(layer), readers) + noise(options, layer, first, count);
    batch.x.push_back(x.to(at::kBFloat16));
    at::Tensor y = at::mm(a, synthetic_writers(options, layer));
    if (options.linear) {
      y += at::mm(x, synthetic_linear(options, layer));
    }
    batch.y.push_back(y.to(at::kBFloat16));
  }
  const at::Tensor row = at::arange(first, first + count, at::kLong);
  batch.tokens = row.remainder(1000).to(at::kInt);
  batch.documents = row.div(options.document_rows, "floor");
  batch.positions = (row.remainder(options.document_rows) + 1).to(at::kInt);
  return batch;
}

void write_synthetic_cache(const std::string& folder, const SyntheticOptions& options) {
  make_folders(folder);
  Manifest manifest{
      .complete = true,
      .rows = options.rows,
      .request = {{"synthetic", options.seed}},
      .shards = plan_shards(options.rows, options.chunk_rows, options.rows, options.shards)};
  for (auto& entry : manifest.shards) {
    const ShardHeader header{.identity = synthetic_identity(options),
                             .rows = entry.rows,
                             .row_offset = entry.row_offset,
                             .chunk_rows = options.chunk_rows,
                             .shuffle = "none",
                             .seed = options.seed};
    ShardWriter writer((std::filesystem::path(folder) / entry.name).string(), header);
    constexpr int64_t kBlock = 4096;  // bounds memory
    for (int64_t done = 0; done < entry.rows; done += kBlock) {
      const int64_t count = std::min(kBlock, entry.rows - done);
      writer.append(synthetic_rows(options, entry.row_offset + done, count));
    }
    entry.xxh3 = hex(writer.finish());
  }
  write_manifest(folder, manifest);
}

}  // namespace crossloom::data
