#include "trainer/step.h"

#include <cmath>

#include "architectures/losses.h"
#include "trainer/batch_bar.h"
#include "trainer/gradient_sink.h"
#include "trainer/schedule.h"

namespace crossloom::trainer {
namespace {

/// Weight of the newest bar in a BatchTopK threshold's moving average.
constexpr double kThresholdMemory = 0.1;

/// Few-byte updates count in units of a gradient's scale (StoredRates), whose square must be a
/// float32; what is clipped harder than this is scaled before.
constexpr double kLeastScale = 1e-12;

int64_t shard_count(const TrainOptions& options, const Communicator& communicator) {
  return options.deterministic ? options.virtual_shards : communicator.size();
}

}  // namespace

Step::Step(architectures::Transcoder& transcoder, const data::Normalizer& normalizer,
           const TrainOptions& options, Communicator& communicator)
    : transcoder_(transcoder),
      normalizer_(normalizer),
      options_(options),
      exchange_(communicator, shard_count(options, communicator)),
      layout_(transcoder.parameters(), exchange_.shards()),
      prefixes_(matryoshka_prefixes(options)),
      guard_(options) {
  const auto& shape = transcoder.shape();
  for (int64_t j = 0; j < exchange_.local_shards(); ++j) {
    shards_.emplace_back(shape, options.loader.batch_tokens / exchange_.shards(),
                         at::TensorOptions(transcoder.type()));
  }
  transcoder.set_batch_parts(exchange_.shards());
  fired_ = at::zeros({shape.layers, shape.features}, at::TensorOptions(at::kLong));
  updates_.emplace(make_updates());
  if (options.adam.clip_norm > 0.0 || exchange_.shards() > 1) {
    for (int64_t j = 0; j < exchange_.local_shards(); ++j) {
      gradients_.emplace_back(transcoder.parameters(), layout_);
    }
  }
}

Updates Step::make_updates() {
  const auto& parameters = transcoder_.parameters();
  const AdamOptions& adam = options_.adam;
  const bool few_bytes = stores_few_bytes(options_);
  if (few_bytes) {
    states_.emplace(parameters, layout_, owned(), adam);
  } else {
    moments_.emplace(owned(), transcoder_.type());
  }
  std::vector<std::unique_ptr<Application>> applications;
  for (size_t p = 0; p < parameters.size(); ++p) {
    const int64_t first_element = layout_.parameter(p).begin;
    applications.push_back(
        few_bytes ? stored_application(parameters[p], first_element, states_->of(p), adam,
                                       static_cast<uint64_t>(options_.transcoder.seed))
                  : exact_application(parameters[p], first_element, *moments_, adam));
  }
  return Updates(std::move(applications));
}

void Step::load(const data::Batch& batch) {
  const int64_t tokens = options_.loader.batch_tokens / exchange_.shards();  // T/S
  for (const at::Tensor& x : batch.x) {
    check_shape(x, {tokens * exchange_.local_shards(), transcoder_.shape().width}, "x");
  }
  for (size_t j = 0; j < shards_.size(); ++j) {
    shards_[j].load(batch, static_cast<int64_t>(j) * tokens, normalizer_);
  }
}

template <typename Rows>
std::vector<double> Step::centred_energies(Rows&& rows) const {
  const int64_t layers = transcoder_.shape().layers;
  const int64_t width = transcoder_.shape().width;
  std::vector<double> sums;
  for (const auto& shard : shards_) {
    for (size_t l = 0; l < static_cast<size_t>(layers); ++l) {
      const at::Tensor sum = architectures::target_sum(rows(shard, l));  // float64 [D]
      sums.insert(sums.end(), sum.const_data_ptr<double>(), sum.const_data_ptr<double>() + width);
    }
  }
  std::vector<double> totals = exchange_.ordered_sum(sums, layers * width);
  const at::Tensor means =
      at::from_blob(totals.data(), {layers, width}, at::TensorOptions(at::kDouble)) /
      static_cast<double>(options_.loader.batch_tokens);
  std::vector<double> energies;
  for (const auto& shard : shards_) {
    for (int64_t l = 0; l < layers; ++l) {
      energies.push_back(
          architectures::centred_energy(rows(shard, static_cast<size_t>(l)), means[l]));
    }
  }
  return exchange_.ordered_sum(energies, layers);
}

void Step::add_auxk(StepTerms& terms, const at::Tensor& dead) const {
  if (wants_auxk(options_, dead)) {
    terms.auxk =
        auxk_term(options_, dead, centred_energies([](const TokenShard& shard, size_t layer) {
                    return shard.residual(layer);
                  }));
  }
}

void Step::collect(const StepTerms& terms, const std::vector<double>& energies) {
  const auto layers = static_cast<int64_t>(energies.size());
  std::vector<double> partials;
  for (const auto& shard : shards_) {
    const ShardSums& sums = shard.sums();
    for (const auto* values : {&sums.squared, &sums.kept, &sums.auxiliary, &sums.nested}) {
      partials.insert(partials.end(), values->begin(), values->end());
    }
    partials.push_back(sums.sparsity);
    partials.push_back(sums.pre_activation);
  }
  const auto totals = exchange_.ordered_sum(partials, 4 * layers + 2);
  result_.fvu.clear();
  result_.l0.clear();
  result_.reconstruction = 0.0;
  result_.auxiliary = 0.0;
  for (size_t l = 0; l < energies.size(); ++l) {
    result_.fvu.push_back(totals[l] / energies[l]);
    result_.l0.push_back(totals[energies.size() + l] /
                         static_cast<double>(options_.loader.batch_tokens));
    result_.reconstruction += (totals[l] + totals[3 * energies.size() + l]) / terms.denominators[l];
    if (!terms.auxk.weights.empty()) {
      result_.auxiliary += totals[2 * energies.size() + l] * terms.auxk.weights[l];
    }
  }
  result_.sparsity = totals[4 * energies.size()];
  result_.pre_activation = totals[4 * energies.size() + 1];
  result_.loss =
      result_.reconstruction + result_.sparsity + result_.pre_activation + result_.auxiliary;
}

double Step::global_norm(const at::Tensor& own_gradient) const {
  std::vector<double> squares;
  for (int64_t b = 0; b < exchange_.local_shards(); ++b) {
    const Range block = layout_.block_range(exchange_.first_shard() + b);
    squares.push_back(
        squared_sum(own_gradient.narrow(0, block.begin - owned().begin, block.count())));
  }
  return std::sqrt(exchange_.ordered_sum(squares, 1)[0]);
}

double Step::clip_scale() const {
  const double clip = options_.adam.clip_norm;
  return clip > 0.0 && result_.gradient_norm > clip ? clip / result_.gradient_norm : 1.0;
}

void Step::start_updates(int64_t step, double scale) {
  updates_->start_step(step, result_.learning_rate,
                       result_.learning_rate * options_.adam.threshold_rate, scale);
}

void Step::store_thresholds(const std::vector<double>& bars, int64_t step) {
  for (size_t l = 0; l < bars.size(); ++l) {
    at::Tensor threshold =
        architectures::find_parameter(transcoder_, fmt::format("threshold_{}", l));
    const double weight = step == 1 ? 1.0 : kThresholdMemory;
    threshold.mul_(1.0 - weight).add_(weight * bars[l]);
  }
}

void Step::propose(int64_t step) {
  std::string failure;
  try {
    for (auto& shard : shards_) {
      shard.propose(transcoder_, architectures::Watch::kGradients);
    }
  } catch (const DataError& error) {
    failure = error.what();
  }
  if (exchange_.communicator().max(int64_t{!failure.empty()}) > 0) {
    guard_.stop_non_finite(failure.empty() ? "others on another rank" : failure, step);
  }
}

StepTerms Step::forward(const at::Tensor& dead, int64_t step, const std::vector<double>& energies) {
  StepTerms terms = step_terms(transcoder_, options_, prefixes_, energies, dead, step);
  propose(step);
  std::vector<const std::vector<architectures::Candidates>*> candidates;
  for (const auto& shard : shards_) {
    candidates.push_back(&shard.candidates());
  }
  if (const int64_t kept = transcoder_.batch_kept(); kept > 0) {
    terms.bars = batch_bars(candidates, kept * options_.loader.batch_tokens, exchange_);
  }
  fired_.zero_();
  for (auto& shard : shards_) {
    shard.forward(transcoder_, terms);
    shard.count_active(fired_);
  }
  exchange_.communicator().all_reduce(fired_.mutable_data_ptr(), fired_.numel(), DType::kI64,
                                      ReduceOp::kSum);
  add_auxk(terms, dead);
  return terms;
}

void Step::backward_and_apply(const StepTerms& terms, const std::vector<double>& energies,
                              int64_t step) {
  collect(terms, energies);  // without the terms that backward adds
  result_.gradient_norm = 0.0;
  guard_.check(result_, step);
  start_updates(step, 1.0);
  ApplyingSink sink(*updates_);
  shards_.front().backward(transcoder_, terms, sink);
  collect(terms, energies);
  result_.gradient_norm = updates_->gradient_norm();
  guard_.check_finite(result_, step);
}

void Step::backward_and_update(const StepTerms& terms, const std::vector<double>& energies,
                               int64_t step) {
  for (size_t j = 0; j < shards_.size(); ++j) {
    AccumulatingSink sink(gradients_[j]);
    shards_[j].backward(transcoder_, terms, sink);
    sink.close();
  }
  collect(terms, energies);
  const at::Tensor own = exchange_.reduce_to_owners(gradients_);
  result_.gradient_norm = global_norm(own);
  guard_.check(result_, step);
  double scale = clip_scale();
  if (scale < kLeastScale) {
    own.mul_(scale);
    scale = 1.0;
  }
  start_updates(step, scale);
  updates_->apply(layout_, owned(), own);
  exchange_.gather_from_owners(transcoder_.parameters(), layout_);
}

StepResult Step::run(const data::Batch& batch, int64_t step, const at::Tensor& dead) {
  load(batch);
  if (options_.k_annealing.start > 0) {
    transcoder_.set_kept(
        kept_at(options_.k_annealing, options_.transcoder.k, step, options_.steps));
  }
  result_.learning_rate = learning_rate_at(options_.adam, step, options_.steps);
  result_.sparsity_weight = sparsity_weight_at(options_.sparsity, step, options_.steps);
  const auto energies =
      centred_energies([](const TokenShard& shard, size_t l) { return shard.targets()[l]; });
  const StepTerms terms = forward(dead, step, energies);
  if (gradients_.empty()) {
    backward_and_apply(terms, energies, step);
  } else {
    backward_and_update(terms, energies, step);
  }
  store_thresholds(terms.bars, step);
  return result_;
}

}  // namespace crossloom::trainer
