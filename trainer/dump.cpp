#include "trainer/dump.h"

#include <filesystem>

#include "common/json_file.h"
#include "common/log.h"
#include "common/output_file.h"

namespace crossloom::trainer {
namespace {

/// Largest magnitude per layer; a NaN is infinite here, since JSON has no such number.
std::vector<double> largest(const std::vector<at::Tensor>& layers) {
  std::vector<double> values;
  for (const at::Tensor& rows : layers) {
    const at::Tensor magnitude = rows.to(at::kFloat).abs();
    values.push_back(magnitude.isfinite().all().item<bool>() ? magnitude.max().item<double>()
                                                             : 1e308);
  }
  return values;
}

}  // namespace

void write_dump(const TrainOptions& options, const StepResult& result, const data::Batch& batch,
                int64_t step) noexcept {
  try {
    const std::string path =
        (std::filesystem::path(options.output) / fmt::format("stopped_at_step_{}.json", step))
            .string();
    write_json_file(path, {{"step", step},
                           {"loss", result.loss},
                           {"reconstruction", result.reconstruction},
                           {"sparsity", result.sparsity},
                           {"pre_activation", result.pre_activation},
                           {"auxiliary", result.auxiliary},
                           {"gradient_norm", result.gradient_norm},
                           {"learning_rate", result.learning_rate},
                           {"sparsity_weight", result.sparsity_weight},
                           {"fvu_per_layer", result.fvu},
                           {"l0_per_layer", result.l0},
                           {"largest_input_per_layer", largest(batch.x)},
                           {"largest_target_per_layer", largest(batch.y)}});
    log::info("the state of the stopped step is in {}", path);
  } catch (const std::exception& error) {
    log::info("the stopped step could not be described: {}", error.what());
  }
}

}  // namespace crossloom::trainer
