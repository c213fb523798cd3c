#include "trainer/metrics.h"

#include <filesystem>
#include <fstream>

#include "common/error.h"
#include "common/mean.h"
#include "common/output_file.h"

namespace crossloom::trainer {

Metrics::Metrics(const std::string& run_folder, int64_t resumed_step, bool writes)
    : path_((std::filesystem::path(run_folder) / "metrics.jsonl").string()), writes_(writes) {
  if (!writes_) {
    return;
  }
  std::ifstream old(path_);
  std::string kept;
  for (std::string line; std::getline(old, line);) {
    const Json value = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (value.is_object() && value.value("step", int64_t{-1}) >= 0 &&
        value["step"].get<int64_t>() <= resumed_step) {
      kept += line + "\n";
      has_evaluation_ = has_evaluation_ || (value["step"].get<int64_t>() == resumed_step &&
                                            value.value("kind", "") == "held_out");
    }
  }
  write_file(path_, kept);
}

void Metrics::append(const Json& line) const {
  if (!writes_) {
    return;
  }
  std::ofstream file(path_, std::ios::app);
  file << line.dump() << "\n";
  file.flush();
  if (!file) {
    throw DataError({.what = "Metrics cannot be written",
                     .expected = "a writable file and free space",
                     .got = "a write error",
                     .where = path_,
                     .hint = "Free some space; the last checkpoint can be resumed."});
  }
}

Json step_json(int64_t step, int64_t batch_tokens, const StepResult& result,
               const std::vector<double>& dead_share, double seconds_per_step) {
  return {{"kind", "step"},
          {"step", step},
          {"tokens", step * batch_tokens},
          {"loss", result.loss},
          {"reconstruction", result.reconstruction},
          {"sparsity", result.sparsity},
          {"pre_activation", result.pre_activation},
          {"auxiliary", result.auxiliary},
          {"sparsity_weight", result.sparsity_weight},
          {"fvu", mean(result.fvu)},
          {"l0", mean(result.l0)},
          {"dead", mean(dead_share)},
          {"gradient_norm", result.gradient_norm},
          {"learning_rate", result.learning_rate},
          {"s_per_step", seconds_per_step},
          {"fvu_per_layer", result.fvu},
          {"l0_per_layer", result.l0},
          {"dead_per_layer", dead_share}};
}

}  // namespace crossloom::trainer
