#include "trainer/step.h"

#include <cmath>

#include "architectures/losses.h"
#include "trainer/gradient_sink.h"

namespace crossloom::trainer {
namespace {

using architectures::Codes;

int64_t shard_count(const TrainOptions& options, const Communicator& communicator) {
  return options.deterministic ? options.virtual_shards : communicator.size();
}

/// Σ g² of one block in float64, in a fixed order.
double squared_sum(const at::Tensor& block) {
  return block.square().sum(at::kDouble).item<double>();
}

}  // namespace

Step::Step(architectures::Transcoder& transcoder, const data::Normalizer& normalizer,
           const TrainOptions& options, Communicator& communicator)
    : transcoder_(transcoder),
      normalizer_(normalizer),
      options_(options),
      exchange_(communicator, shard_count(options, communicator)),
      weights_(transcoder.parameters(), exchange_.shards()),
      shards_(static_cast<size_t>(exchange_.local_shards())),
      adam_(options.adam, exchange_.local_shards() * weights_.block_size(),
            weights_.whole().scalar_type()) {
  adopt_parameters(transcoder.parameters(), weights_);
  const auto& shape = transcoder.shape();
  for (auto& shard : shards_) {
    gradients_.emplace_back(transcoder.parameters(), exchange_.shards());
    shard.x.resize(static_cast<size_t>(shape.layers));
    shard.y.resize(static_cast<size_t>(shape.layers));
    shard.squared.resize(static_cast<size_t>(shape.layers));
    shard.kept.resize(static_cast<size_t>(shape.layers));
    for (int64_t l = 0; l < shape.layers; ++l) {
      const auto make = [&] {
        return at::empty({options.loader.batch_tokens / exchange_.shards(), shape.width},
                         weights_.whole().options());
      };
      shard.x[static_cast<size_t>(l)] = make();
      shard.y[static_cast<size_t>(l)] = make();
      shard.y_hat.push_back(make());
      shard.y_grad.push_back(make());
    }
  }
  fired_ = at::zeros({shape.layers, shape.features}, at::TensorOptions(at::kLong));
}

void Step::load(const data::Batch& batch) {
  const int64_t tokens = options_.loader.batch_tokens / exchange_.shards();  // T/S
  for (size_t l = 0; l < batch.x.size(); ++l) {
    const auto layer = static_cast<int64_t>(l);
    check_shape(batch.x[l], {tokens * exchange_.local_shards(), transcoder_.shape().width}, "x");
    for (size_t j = 0; j < shards_.size(); ++j) {
      const int64_t begin = static_cast<int64_t>(j) * tokens;
      normalizer_.normalize_input(layer, batch.x[l].narrow(0, begin, tokens), shards_[j].x[l]);
      normalizer_.normalize_target(layer, batch.y[l].narrow(0, begin, tokens), shards_[j].y[l]);
    }
  }
}

std::vector<double> Step::global_energies() const {
  const auto layers = static_cast<size_t>(transcoder_.shape().layers);
  const int64_t width = transcoder_.shape().width;
  std::vector<double> sums;
  for (const auto& shard : shards_) {
    for (const auto& y : shard.y) {
      const at::Tensor sum = architectures::target_sum(y);  // float64 [D]
      sums.insert(sums.end(), sum.const_data_ptr<double>(), sum.const_data_ptr<double>() + width);
    }
  }
  std::vector<double> totals = exchange_.ordered_sum(sums, static_cast<int64_t>(layers) * width);
  const at::Tensor means = at::from_blob(totals.data(), {static_cast<int64_t>(layers), width},
                                         at::TensorOptions(at::kDouble)) /
                           static_cast<double>(options_.loader.batch_tokens);
  std::vector<double> energies;
  for (const auto& shard : shards_) {
    for (size_t l = 0; l < layers; ++l) {
      energies.push_back(architectures::centred_energy(shard.y[l], means[static_cast<int64_t>(l)]));
    }
  }
  return exchange_.ordered_sum(energies, static_cast<int64_t>(layers));
}

void Step::count_fired(const Codes& codes) {
  const int64_t features = transcoder_.shape().features;
  auto* counts = fired_.mutable_data_ptr<int64_t>();
  for (size_t l = 0; l < codes.size(); ++l) {
    const auto* index = codes[l].index.const_data_ptr<int32_t>();
    for (int64_t i = 0; i < codes[l].count(); ++i) {
      ++counts[static_cast<int64_t>(l) * features + index[i]];
    }
  }
}

void Step::backward(Shard& shard, FlatBuffer& gradients, const std::vector<double>& energies) {
  const auto& shape = transcoder_.shape();
  const architectures::ColumnRange columns{0, shape.width};
  gradients.whole().zero_();
  AccumulatingSink sink(gradients);
  Codes codes;
  for (int64_t l = 0; l < shape.layers; ++l) {
    codes.push_back(transcoder_.filter(l, transcoder_.propose(l, shard.x[static_cast<size_t>(l)])));
    shard.kept[static_cast<size_t>(l)] = static_cast<double>(codes.back().count());
  }
  count_fired(codes);
  transcoder_.decode(codes, shard.x, columns, shard.y_hat);
  for (size_t l = 0; l < codes.size(); ++l) {
    shard.squared[l] =
        architectures::fvu_backward(shard.y[l], shard.y_hat[l], energies[l], shard.y_grad[l]);
  }
  const auto value_grads = transcoder_.decode_backward(codes, shard.x, shard.y_grad, columns, sink);
  for (int64_t l = 0; l < shape.layers; ++l) {
    const auto i = static_cast<size_t>(l);
    transcoder_.encode_backward(l, shard.x[i], codes[i], value_grads[i], sink);
  }
}

StepResult Step::collect(const std::vector<double>& energies) const {
  const auto layers = static_cast<int64_t>(energies.size());
  std::vector<double> partials;
  for (const auto& shard : shards_) {
    partials.insert(partials.end(), shard.squared.begin(), shard.squared.end());
    partials.insert(partials.end(), shard.kept.begin(), shard.kept.end());
  }
  const auto totals = exchange_.ordered_sum(partials, 2 * layers);
  StepResult result;
  for (int64_t l = 0; l < layers; ++l) {
    const auto i = static_cast<size_t>(l);
    result.fvu.push_back(totals[i] / energies[i]);
    result.l0.push_back(totals[static_cast<size_t>(layers) + i] /
                        static_cast<double>(options_.loader.batch_tokens));
    result.loss += result.fvu.back();
  }
  return result;
}

double Step::global_norm(const at::Tensor& own_gradient) const {
  std::vector<double> squares;
  for (int64_t b = 0; b < exchange_.local_shards(); ++b) {
    squares.push_back(
        squared_sum(own_gradient.narrow(0, b * weights_.block_size(), weights_.block_size())));
  }
  return std::sqrt(exchange_.ordered_sum(squares, 1)[0]);
}

StepResult Step::run(const data::Batch& batch, int64_t step) {
  load(batch);
  fired_.zero_();
  const auto energies = global_energies();
  for (size_t j = 0; j < shards_.size(); ++j) {
    backward(shards_[j], gradients_[j], energies);
  }
  StepResult result = collect(energies);
  exchange_.communicator().all_reduce(fired_.mutable_data_ptr(), fired_.numel(), DType::kI64,
                                      ReduceOp::kSum);
  const at::Tensor own = exchange_.reduce_to_owners(gradients_, scratch_);
  result.gradient_norm = global_norm(own);
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
    throw DataError(
        {.what = "Training left the finite numbers",
         .expected = "a finite loss and gradient norm",
         .got = fmt::format("loss {}, gradient norm {}", result.loss, result.gradient_norm),
         .where = fmt::format("step {}", step),
         .hint = "Lower adam.learning_rate, or look for non-finite activations."});
  }
  result.learning_rate = learning_rate_at(options_.adam, step, options_.steps);
  const double clip = options_.adam.clip_norm;
  const double scale =
      clip > 0.0 && result.gradient_norm > clip ? clip / result.gradient_norm : 1.0;
  const int64_t own_begin = exchange_.first_shard() * weights_.block_size();
  adam_.update(weights_.whole().narrow(0, own_begin, own.size(0)), own, step, result.learning_rate,
               scale);
  exchange_.gather_from_owners(weights_);
  return result;
}

}  // namespace crossloom::trainer
