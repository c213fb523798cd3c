#include "eval/reconstruction.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "common/mean.h"
#include "data/window_buffer.h"

namespace crossloom::eval {
namespace {

using architectures::Codes;

constexpr int64_t kChunkRows = 512;

/// Per-token sums of all rows; every rank fills its own rows and the rest stays zero until reduced.
struct Sums {
  at::Tensor error;   // float64 [L, N], ‖y − ŷ‖² of each token
  at::Tensor offset;  // float64 [L, D], Σ (y − c)
  at::Tensor energy;  // float64 [L, N], ‖y − c‖²
  at::Tensor fired;   // int64 [L, F]
};

void reduce(Communicator& communicator, const at::Tensor& tensor) {
  communicator.all_reduce(tensor.mutable_data_ptr(), tensor.numel(), dtype_of(tensor),
                          ReduceOp::kSum);
}

class Pass {
 public:
  Pass(const architectures::Transcoder& transcoder, const data::Normalizer& normalizer,
       const data::ShardSet& shards, const data::RowSelection& rows, Communicator& communicator)
      : centre_(target_centre(normalizer, shards)),
        transcoder_(transcoder),
        normalizer_(normalizer),
        shards_(shards),
        rows_(rows),
        communicator_(communicator) {}

  /// Calls `visit(first, batch)` for this rank's chunks of rows.
  void for_chunks(const std::function<void(int64_t, const data::Batch&)>& visit) {
    communicator_.agree([&] {
      for (int64_t first = communicator_.rank() * kChunkRows; first < rows_.size();
           first += communicator_.size() * kChunkRows) {
        std::vector<int64_t> chunk;
        for (int64_t i = first; i < std::min(first + kChunkRows, rows_.size()); ++i) {
          chunk.push_back(rows_.row(i));
        }
        visit(first, data::read_rows(shards_, chunk));
      }
    });
  }

  void add_errors(int64_t first, const data::Batch& batch, Sums& sums) const {
    const auto& shape = transcoder_.shape();
    Codes codes;
    std::vector<at::Tensor> inputs, outputs;
    for (int64_t l = 0; l < shape.layers; ++l) {
      const auto& raw = batch.x[static_cast<size_t>(l)];
      inputs.push_back(like(raw));
      outputs.push_back(like(raw));
      normalizer_.normalize_input(l, raw, inputs.back());
      codes.push_back(transcoder_.filter(l, transcoder_.propose(l, inputs.back())));
      sums.fired[l].add_(architectures::active_counts(codes.back(), shape.features));
    }
    transcoder_.decode(codes, inputs, {0, shape.width}, outputs);
    for (int64_t l = 0; l < shape.layers; ++l) {
      const at::Tensor y = target(l, batch);
      const int64_t tokens = y.size(0);
      sums.error[l]
          .narrow(0, first, tokens)
          .copy_((y - outputs[static_cast<size_t>(l)]).square().sum(1, false, at::kDouble));
      const at::Tensor centred = y.to(at::kDouble).sub_(centre_[l]);
      sums.offset[l].add_(centred.sum(0));
      sums.energy[l].narrow(0, first, tokens).copy_(at::Tensor(centred).square_().sum(1));
    }
  }

 private:
  /// c: the mean target of the whole cache, float64 [L, D].
  static at::Tensor target_centre(const data::Normalizer& normalizer,
                                  const data::ShardSet& shards) {
    const int64_t layers = shards.identity().layers;
    const auto scales = at::TensorOptions(at::kDouble);
    return at::tensor(shards.statistics().targets.mean, scales).view({layers, -1}) /
           at::tensor(normalizer.sigma_out(), scales).unsqueeze(1);
  }

  /// ỹ of a batch's layer, [n, D].
  at::Tensor target(int64_t layer, const data::Batch& batch) const {
    at::Tensor y = like(batch.y[static_cast<size_t>(layer)]);
    normalizer_.normalize_target(layer, batch.y[static_cast<size_t>(layer)], y);
    return y;
  }

  at::Tensor like(const at::Tensor& raw) const {
    return at::empty(raw.sizes(), at::TensorOptions(transcoder_.type()));
  }

  at::Tensor centre_;
  const architectures::Transcoder& transcoder_;
  const data::Normalizer& normalizer_;
  const data::ShardSet& shards_;
  const data::RowSelection& rows_;
  Communicator& communicator_;
};

int64_t tokens_with_half(const at::Tensor& errors) {
  const at::Tensor share = std::get<0>(errors.sort(0, /*descending=*/true)).cumsum(0);
  const double half = 0.5 * share[-1].item<double>();
  return share.lt(half).sum().item<int64_t>() + 1;
}

void require_finite(int64_t layer, double nmse, const data::ShardSet& shards) {
  if (!std::isfinite(nmse)) {
    throw DataError({.what = "The reconstruction error is not a number",
                     .expected = "finite weights, and finite targets that vary",
                     .got = fmt::format("NMSE {} in layer {}", nmse, layer),
                     .where = shards.folder(),
                     .hint = "Look for damaged activations, or for a training that diverged."});
  }
}

}  // namespace

double reconstruction_bytes(const architectures::TranscoderShape& shape,
                            const data::ShardSet& shards) {
  const double rows = static_cast<double>(shards.chunk_rows() + kChunkRows);
  const double stored =
      2.0 * static_cast<double>(shards.identity().width_in + shards.identity().width_out);
  const double inputs_and_outputs = 2.0 * 4.0 * static_cast<double>(shape.width);
  return static_cast<double>(shape.layers) * (rows * stored + kChunkRows * inputs_and_outputs);
}

double Reconstruction::mean_nmse() const {
  return mean(nmse);
}
double Reconstruction::mean_l0() const {
  return mean(l0);
}
double Reconstruction::mean_dead() const {
  return mean(dead);
}

Json Reconstruction::to_json() const {
  return {{"tokens", tokens},       {"nmse", mean_nmse()},
          {"l0", mean_l0()},        {"dead", mean_dead()},
          {"nmse_per_layer", nmse}, {"l0_per_layer", l0},
          {"dead_per_layer", dead}, {"half_error_tokens_per_layer", half_error_tokens}};
}

Reconstruction evaluate_reconstruction(const architectures::Transcoder& transcoder,
                                       const data::Normalizer& normalizer,
                                       const data::ShardSet& shards, const data::RowSelection& rows,
                                       Communicator& communicator) {
  const auto& shape = transcoder.shape();
  const int64_t count = rows.size();
  if (count == 0) {
    throw ConfigError({.what = "There are no held-out rows to evaluate on",
                       .expected = "loader.held_out_share > 0 and at least two documents",
                       .got = "no held-out document",
                       .where = shards.folder(),
                       .hint = "Train with a held-out share, or harvest more text."});
  }
  const auto doubles = at::TensorOptions(at::kDouble);
  Sums sums{at::zeros({shape.layers, count}, doubles),
            at::zeros({shape.layers, shape.width}, doubles),
            at::zeros({shape.layers, count}, doubles),
            at::zeros({shape.layers, shape.features}, at::TensorOptions(at::kLong))};
  Pass pass(transcoder, normalizer, shards, rows, communicator);
  pass.for_chunks(
      [&](int64_t first, const data::Batch& batch) { pass.add_errors(first, batch, sums); });
  for (const at::Tensor* sum : {&sums.error, &sums.offset, &sums.energy, &sums.fired}) {
    reduce(communicator, *sum);
  }
  Reconstruction result;
  result.tokens = count;
  for (int64_t l = 0; l < shape.layers; ++l) {
    const double energy =
        (sums.energy[l].sum() - sums.offset[l].square().sum() / static_cast<double>(count))
            .item<double>();
    result.nmse.push_back(sums.error[l].sum().item<double>() / energy);
    require_finite(l, result.nmse.back(), shards);
    result.l0.push_back(static_cast<double>(sums.fired[l].sum().item<int64_t>()) /
                        static_cast<double>(count));
    result.dead.push_back(sums.fired[l].eq(0).to(at::kDouble).mean().item<double>());
    result.half_error_tokens.push_back(tokens_with_half(sums.error[l]));
  }
  return result;
}

}  // namespace crossloom::eval
