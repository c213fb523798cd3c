#include "trainer/memory_plan.h"

#include <algorithm>

#include "architectures/kernels/estimates.h"
#include "architectures/registry.h"
#include "common/format.h"
#include "trainer/parameter_states.h"

namespace crossloom::trainer {
namespace {

double computed_bytes(const TrainOptions& options) {
  return options.dtype == "float64" ? 8.0 : 4.0;
}

double weight_bytes(const TrainOptions& options) {
  return options.weights == "bfloat16" ? 2.0 : computed_bytes(options);
}

/// Of one parameter's moments together.
double moment_bytes(const TrainOptions& options) {
  if (!stores_few_bytes(options)) {
    return 2.0 * computed_bytes(options);
  }
  const double kept = options.adam.beta1 > 0.0 ? 2.0 : 1.0;
  switch (stored_type(options.adam.states)) {
    case Stored::kFloat:
      return 4.0 * kept;
    case Stored::kHalf:
      return 2.0 * kept;
    case Stored::kByte:
      return (1.0 + 4.0 / static_cast<double>(kStateBlock)) * kept;
  }
  return 0.0;
}

/// Layers whose [T, F] are in memory together.
double layers_encoded_at_once(const TrainOptions& options,
                              const architectures::TranscoderShape& shape, double tokens) {
  const auto& row = architectures::Registry::instance().row(options.transcoder.architecture);
  const bool one_thread = options.deterministic;
  const bool screened = row.activation == "topk" || row.activation == "batchtopk";
  if (!screened || options.dtype == "float64" || one_thread) {
    return 1.0;
  }
  return static_cast<double>(architectures::kernels::layers_at_once(
      shape.layers, static_cast<int64_t>(tokens), shape.width, shape.features));
}

double gradient_bytes(const TrainOptions& options, double parameters, int ranks) {
  const double all = parameters * computed_bytes(options);
  const double shards =
      options.deterministic ? static_cast<double>(options.virtual_shards) : double(ranks);
  if (shards == 1.0 && options.adam.clip_norm == 0.0) {
    const bool several_terms = options.auxk.k > 0 || !options.matryoshka.prefixes.empty();
    return several_terms ? all : 0.0;
  }
  return all * shards / ranks;
}

}  // namespace

std::string MemoryPlan::text(double program) const {
  return fmt::format(
      "peak memory of a rank, about: {} = weights {} + moments {} + gradients {} + rows {} + step "
      "{} + evaluation {} + program {}",
      human_bytes(total() + program), human_bytes(weights), human_bytes(moments),
      human_bytes(gradients), human_bytes(rows), human_bytes(step), human_bytes(evaluation),
      human_bytes(program));
}

MemoryPlan plan_memory(const TrainOptions& options, const architectures::TranscoderShape& shape,
                       int64_t parameters, double rows, int ranks) {
  const auto n = static_cast<double>(parameters);
  const double b = computed_bytes(options);
  const auto layers = static_cast<double>(shape.layers);
  const double tokens = static_cast<double>(options.loader.batch_tokens) / ranks;
  const double in_shard = options.deterministic ? static_cast<double>(options.loader.batch_tokens) /
                                                      static_cast<double>(options.virtual_shards)
                                                : tokens;
  MemoryPlan plan;
  plan.weights = n * weight_bytes(options);
  plan.moments = n * moment_bytes(options) / ranks;
  plan.gradients = gradient_bytes(options, n, ranks);
  plan.rows = rows;
  plan.step = (4.0 * tokens + in_shard) * layers * static_cast<double>(shape.width) * b +
              layers_encoded_at_once(options, shape, in_shard) * in_shard *
                  static_cast<double>(shape.features) * b;
  if (options.weights == "bfloat16") {  // an encoder's, where its product is made whole
    plan.step += static_cast<double>(shape.features * shape.width) * b;
  }
  return plan;
}

double loader_bytes(const data::LoaderOptions& options, const data::ShardSet& shards, int ranks) {
  const auto& identity = shards.identity();
  const double row =
      2.0 * static_cast<double>(identity.layers * (identity.width_in + identity.width_out)) + 16.0;
  const auto blocks = static_cast<double>(
      std::min<int64_t>(options.window_blocks, static_cast<int64_t>(shards.blocks().size())));
  const double tokens = static_cast<double>(options.batch_tokens) / ranks;
  return row * (blocks * static_cast<double>(shards.chunk_rows()) +
                tokens * static_cast<double>(options.prefetch_batches + 2));
}

double checkpoint_bytes(const TrainOptions& options, int64_t parameters) {
  return static_cast<double>(parameters) * (weight_bytes(options) + moment_bytes(options));
}

}  // namespace crossloom::trainer
