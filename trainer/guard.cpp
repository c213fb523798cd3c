#include "trainer/guard.h"

#include <cmath>

#include "common/mean.h"
#include "trainer/step.h"

namespace crossloom::trainer {
namespace {

constexpr int64_t kMemory_steps = 20;
constexpr int64_t kSilentLimit_steps = 10;

}  // namespace

void Guard::stop(const char* what, const std::string& expected, const std::string& got,
                 int64_t step) const {
  const bool penalised = options_.sparsity.weight > 0.0;
  throw Diverged(
      {.what = what,
       .expected = expected,
       .got = got,
       .where = fmt::format("step {}", step),
       .hint = fmt::format(
           "Lower adam.learning_rate ({}){}. Earlier checkpoints are unchanged.",
           options_.adam.learning_rate,
           penalised ? fmt::format(" or sparsity.weight ({})", options_.sparsity.weight) : "")});
}

void Guard::check_finite(const StepResult& result, int64_t step) const {
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
    stop_non_finite(fmt::format("loss {}, gradient norm {}", result.loss, result.gradient_norm),
                    step);
  }
}

void Guard::stop_non_finite(const std::string& got, int64_t step) const {
  stop("Training left the finite numbers", "finite pre-activations, loss and gradient norm", got,
       step);
}

void Guard::check(const StepResult& result, int64_t step) {
  check_finite(result, step);
  const double factor = options_.guard.spike_factor;
  const bool warm = steps_seen_ >= kMemory_steps && step > options_.adam.warmup_steps;
  if (factor > 0.0 && warm && result.reconstruction > factor * mean_loss_) {
    stop("The reconstruction loss has jumped",
         fmt::format("at most guard.spike_factor = {} times its running mean {:.4g}", factor,
                     mean_loss_),
         fmt::format("{:.4g}", result.reconstruction), step);
  }
  const double highest = options_.guard.highest_fvu;
  if (highest > 0.0 && mean(result.fvu) > highest) {
    stop("The error is far beyond that of the mean predictor",
         fmt::format("a mean FVU of at most guard.highest_fvu = {}", highest),
         fmt::format("{:.4g}", mean(result.fvu)), step);
  }
  silent_steps_ = mean(result.l0) == 0.0 ? silent_steps_ + 1 : 0;
  if (options_.sparsity.weight > 0.0 && silent_steps_ >= kSilentLimit_steps) {
    stop("The sparsity penalty has silenced every feature", "active features",
         fmt::format("none for {} steps, λ = {:.4g}", silent_steps_, result.sparsity_weight), step);
  }
  const double weight = 1.0 / static_cast<double>(std::min(steps_seen_ + 1, kMemory_steps));
  mean_loss_ += weight * (result.reconstruction - mean_loss_);
  ++steps_seen_;
}

}  // namespace crossloom::trainer
