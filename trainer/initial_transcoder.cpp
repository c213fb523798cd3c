#include "trainer/initial_transcoder.h"

#include <algorithm>
#include <cmath>

#include "architectures/registry.h"
#include "data/normalizer.h"
#include "data/row_selection.h"
#include "data/window_buffer.h"

namespace crossloom::trainer {
namespace {

using architectures::Transcoder;

void check_shards(const data::ShardSet& shards) {
  const auto& identity = shards.identity();
  if (identity.width_in != identity.width_out) {
    throw DataError({.what = "Inputs and targets have different widths",
                     .expected = fmt::format("{}", identity.width_in),
                     .got = fmt::format("{}", identity.width_out),
                     .where = shards.folder(),
                     .hint = "Train on shards of one width; a skip needs square matrices, too."});
  }
}

void check_fit(const TrainOptions& options) {
  const auto& row = architectures::Registry::instance().row(options.transcoder.architecture);
  const bool selects = row.activation == "topk" || row.activation == "batchtopk";
  const auto refuse = [&](const char* key, const char* what, const char* types) {
    throw ConfigError({.what = fmt::format("'{}' does not fit the architecture", key),
                       .expected = fmt::format("{} with {}", what, types),
                       .got = row.name,
                       .where = key,
                       .hint = "Leave it at its default, or choose another architecture."});
  };
  if (options.auxk.k > 0 && !selects) {
    refuse("auxk.k", "AuxK", "a topk or batchtopk type");
  }
  if (options.k_annealing.start > 0 && !selects) {
    refuse("k_annealing.start", "K annealing", "a topk or batchtopk type");
  }
  if (options.k_annealing.start > options.transcoder.features) {
    refuse("k_annealing.start", "K annealing from at most features", "that many features");
  }
}

void set_firing_rate(const TrainOptions& options, const data::ShardSet& shards,
                     const data::Normalizer& normalizer, const Transcoder& transcoder) {
  const auto split = data::split_rows(shards, options.loader);
  const data::Batch batch =
      data::read_rows(shards, data::spread_rows(split.training, options.start.sample_tokens));
  for (int64_t l = 0; l < transcoder.shape().layers; ++l) {
    const at::Tensor& bias = architectures::find_parameter(transcoder, fmt::format("b_enc_{}", l));
    at::Tensor x = at::empty(batch.x[static_cast<size_t>(l)].sizes(), bias.options());
    normalizer.normalize_input(l, batch.x[static_cast<size_t>(l)], x);
    bias.zero_();
    const at::Tensor h = transcoder.pre_activations(l, x);  // W_enc x̃, [T, F]
    const auto rank = std::clamp<int64_t>(
        std::llround((1.0 - options.start.firing_rate) * static_cast<double>(h.size(0))), 1,
        h.size(0));
    bias.sub_(std::get<0>(at::kthvalue(h.t().contiguous(), rank, 1)));
    const at::Tensor theta = transcoder.thresholds(l);
    if (theta.defined()) {
      bias.add_(theta);
    }
  }
}

}  // namespace

at::Tensor mean_rows(const std::vector<double>& means, int64_t layers) {
  return at::tensor(means, at::TensorOptions(at::kDouble)).view({layers, -1});
}

void check_training(const TrainOptions& options, const data::ShardSet& shards, int ranks) {
  check_train_options(options, ranks);
  architectures::Registry::instance().check(options.transcoder);
  check_shards(shards);
  check_fit(options);
  data::check_loader(options.loader, data::split_rows(shards, options.loader).training.size(),
                     ranks);
}

std::unique_ptr<Transcoder> make_transcoder(const TrainOptions& options,
                                            const data::ShardSet& shards) {
  const auto& identity = shards.identity();
  const architectures::TranscoderShape shape{identity.layers, identity.width_in,
                                             options.transcoder.features};
  const auto type =
      options.weights == "bfloat16" ? at::kBFloat16 : compute_type("dtype", options.dtype);
  auto transcoder = architectures::Registry::instance().create(options.transcoder, shape, type);
  const data::Normalizer normalizer(shards.statistics());
  const at::Tensor mean_in = mean_rows(shards.statistics().inputs.mean, shape.layers);
  const at::Tensor mean_out = mean_rows(shards.statistics().targets.mean, shape.layers);
  for (int64_t l = 0; l < shape.layers; ++l) {
    const auto i = static_cast<size_t>(l);
    const at::Tensor x = mean_in[l] / normalizer.sigma_in()[i];
    const at::Tensor w =
        architectures::find_parameter(*transcoder, fmt::format("W_enc_{}", l)).to(at::kDouble);
    architectures::find_parameter(*transcoder, fmt::format("b_enc_{}", l))
        .copy_(at::mv(w, x).neg());
    architectures::find_parameter(*transcoder, fmt::format("b_dec_{}", l))
        .copy_(mean_out[l] / normalizer.sigma_out()[i]);
  }
  if (options.start.firing_rate > 0.0) {
    set_firing_rate(options, shards, normalizer, *transcoder);
  }
  return transcoder;
}

}  // namespace crossloom::trainer
