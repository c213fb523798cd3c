#include "trainer/train_options.h"

#include <charconv>

#include "common/error.h"
#include "trainer/schedule.h"

namespace crossloom::trainer {

void require_range(const char* key, double value, double low, double high) {
  if (!(value >= low && value <= high)) {
    throw ConfigError({.what = fmt::format("'{}' is out of range", key),
                       .expected = fmt::format("{} to {}", low, high),
                       .got = fmt::format("{}", value),
                       .where = key,
                       .hint = "Change it in the YAML file or with --set."});
  }
}

std::vector<int64_t> matryoshka_prefixes(const TrainOptions& options) {
  std::vector<int64_t> prefixes;
  for (const std::string& text : options.matryoshka.prefixes) {
    int64_t size = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), size);
    const int64_t least = prefixes.empty() ? 1 : prefixes.back() + 1;
    if (code != std::errc() || end != text.data() + text.size() || size < least ||
        size >= options.transcoder.features) {
      throw ConfigError({.what = "'matryoshka.prefixes' does not nest",
                         .expected = fmt::format("ascending numbers from 1 to features − 1 = {}",
                                                 options.transcoder.features - 1),
                         .got = text,
                         .where = "matryoshka.prefixes",
                         .hint = "The last group, all features, is there without being named."});
    }
    prefixes.push_back(size);
  }
  return prefixes;
}

namespace {

void check_recipe(const TrainOptions& options) {
  require_one_of("reconstruction", options.reconstruction, {"fvu", "token_sum", "element_mean"});
  require_range("sparsity.weight", options.sparsity.weight, 0.0, 1e6);
  require_range("sparsity.scale", options.sparsity.scale, 1e-6, 1e6);
  require_one_of("sparsity.norms", options.sparsity.norms, {"concatenated", "none"});
  require_range("pre_activation.weight", options.pre_activation.weight, 0.0, 1e6);
  require_at_least("auxk.k", options.auxk.k, 0);
  require_range("auxk.weight", options.auxk.weight, 0.0, 1e6);
  require_at_least("dead.window_tokens", options.dead.window_tokens, 0);
  require_range("dead.min_density", options.dead.min_density, 0.0, 1.0);
  require_range("guard.spike_factor", options.guard.spike_factor, 0.0, 1e12);
  require_range("guard.highest_fvu", options.guard.highest_fvu, 0.0, 1e12);
  matryoshka_prefixes(options);
  require_range("start.firing_rate", options.start.firing_rate, 0.0, 1.0);
  require_at_least("start.sample_tokens", options.start.sample_tokens, 2);
}

void check_few_bytes(const TrainOptions& options) {
  require_one_of("weights", options.weights, {"full", "bfloat16"});
  require_one_of("adam.states", options.adam.states, {"full", "bfloat16", "8bit"});
  if (!stores_few_bytes(options)) {
    return;
  }
  if (options.dtype != "float32") {
    throw ConfigError({.what = "Weights or moments in few bytes are for float32 runs",
                       .expected = "dtype: float32",
                       .got = options.dtype,
                       .where = "dtype",
                       .hint = "Take dtype: float32, or weights: full and adam.states: full."});
  }
  const double beta1 = options.adam.beta1;
  if (options.adam.states == "8bit" && beta1 * beta1 >= options.adam.beta2) {
    throw ConfigError({.what = "8-bit moments do not fit these decays",
                       .expected = "adam.beta1² < adam.beta2",
                       .got = fmt::format("{}² and {}", beta1, options.adam.beta2),
                       .where = "adam.beta1, adam.beta2",
                       .hint = "A second moment that is rounded to 0 has no lower bound then; take "
                               "adam.states: bfloat16, or a larger beta2."});
  }
}

}  // namespace

bool stores_few_bytes(const TrainOptions& options) {
  return options.weights != "full" || options.adam.states != "full";
}

void check_train_options(const TrainOptions& options, int ranks) {
  require_at_least("steps", options.steps, 1);
  require_at_least("loader.batch_tokens", options.loader.batch_tokens, 1);
  require_at_least("virtual_shards", options.virtual_shards, 1);
  require_at_least("keep_checkpoints", options.keep_checkpoints, 1);
  require_at_least("report_every_steps", options.report_every_steps, 1);
  require_at_least("evaluate_every_steps", options.evaluate_every_steps, 0);
  require_at_least("checkpoint_every_steps", options.checkpoint_every_steps, 0);
  require_at_least("adam.warmup_steps", options.adam.warmup_steps, 0);
  require_one_of("dtype", options.dtype, {"float32", "float64"});
  require_range("adam.learning_rate", options.adam.learning_rate, 0.0, 10.0);
  require_range("adam.beta1", options.adam.beta1, 0.0, 0.999999);
  require_range("adam.beta2", options.adam.beta2, 0.0, 0.99999999);
  require_range("adam.epsilon", options.adam.epsilon, 1e-30, 1.0);
  require_range("adam.clip_norm", options.adam.clip_norm, 0.0, 1e30);
  check_recipe(options);
  check_schedules(options);
  check_few_bytes(options);
  const int64_t parts = options.deterministic ? options.virtual_shards : ranks;
  if (options.loader.batch_tokens % parts != 0 || parts % ranks != 0) {
    throw ConfigError(
        {.what = "The batch cannot be divided evenly",
         .expected = options.deterministic
                         ? "batch_tokens divisible by virtual_shards, and that by the ranks"
                         : "batch_tokens divisible by the number of ranks",
         .got = fmt::format("batch_tokens {}, virtual_shards {}, ranks {}",
                            options.loader.batch_tokens, options.virtual_shards, ranks),
         .where = "loader.batch_tokens",
         .hint = "Change batch_tokens, virtual_shards or the number of ranks."});
  }
}

}  // namespace crossloom::trainer
