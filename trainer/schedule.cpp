#include "trainer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/error.h"

namespace crossloom::trainer {
namespace {

/// 1 at progress 0, 0 at progress 1.
double falling(const std::string& shape, double progress) {
  return shape == "cosine" ? 0.5 * (1.0 + std::cos(std::numbers::pi * progress)) : 1.0 - progress;
}

}  // namespace

double learning_rate_at(const AdamOptions& options, int64_t step, int64_t steps) {
  if (step <= options.warmup_steps) {
    return options.learning_rate * static_cast<double>(step) /
           static_cast<double>(options.warmup_steps);
  }
  if (options.decay == "constant") {
    return options.learning_rate;
  }
  const double after_warmup =
      static_cast<double>(std::max<int64_t>(steps - options.warmup_steps, 1));
  const double decaying = std::max(1.0, options.decay_share * after_warmup);
  const double left = static_cast<double>(steps - step + 1);
  const double progress = std::clamp(1.0 - left / decaying, 0.0, 1.0);
  return options.learning_rate *
         (options.final_rate + (1.0 - options.final_rate) * falling(options.decay, progress));
}

double sparsity_weight_at(const SparsityOptions& options, int64_t step, int64_t steps) {
  const double span = options.ramp_share * static_cast<double>(steps);
  const double progress = span > 0.0 ? std::min(1.0, static_cast<double>(step) / span) : 1.0;
  return options.weight * (1.0 - falling(options.ramp, progress));
}

int64_t kept_at(const KAnnealingOptions& options, int64_t k, int64_t step, int64_t steps) {
  const double span = options.share * static_cast<double>(steps);
  if (options.start == 0 || span < 1.0) {
    return k;
  }
  const double progress = std::min(1.0, static_cast<double>(step - 1) / span);
  const double ratio = static_cast<double>(k) / static_cast<double>(options.start);
  return std::llround(static_cast<double>(options.start) * std::pow(ratio, progress));
}

void check_schedules(const TrainOptions& options) {
  require_one_of("adam.decay", options.adam.decay, {"linear", "cosine", "constant"});
  require_range("adam.decay_share", options.adam.decay_share, 0.0, 1.0);
  require_range("adam.final_rate", options.adam.final_rate, 0.0, 1.0);
  require_range("adam.threshold_rate", options.adam.threshold_rate, 0.0, 1000.0);
  require_one_of("sparsity.ramp", options.sparsity.ramp, {"linear", "cosine"});
  require_range("sparsity.ramp_share", options.sparsity.ramp_share, 0.0, 1.0);
  require_range("k_annealing.share", options.k_annealing.share, 0.0, 1.0);
  if (options.k_annealing.start != 0) {
    require_at_least("k_annealing.start", options.k_annealing.start, options.transcoder.k);
  }
}

}  // namespace crossloom::trainer
