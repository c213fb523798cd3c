#include "trainer/updates.h"

#include <cmath>

namespace crossloom::trainer {

void Updates::start_step(int64_t step, double learning_rate, double threshold_rate, double scale) {
  for (const auto& application : applications_) {
    const bool is_threshold =
        application->parameter().training == architectures::Training::kThreshold;
    application->start(step, is_threshold ? threshold_rate : learning_rate, scale);
  }
}

void Updates::apply(const FlatLayout& layout, const Range& own, const at::Tensor& gradient) {
  for (size_t p = 0; p < applications_.size(); ++p) {
    const Range part = layout.part(p, own);
    if (applications_[p]->parameter().training != architectures::Training::kFixed &&
        part.count() > 0) {
      const int64_t begin = layout.parameter(p).begin + part.begin - own.begin;
      applications_[p]->apply_part(part, gradient.narrow(0, begin, part.count()));
    }
  }
}

double Updates::gradient_norm() const {
  double sum = 0.0;
  for (const auto& application : applications_) {
    sum += application->squares();
  }
  return std::sqrt(sum);
}

}  // namespace crossloom::trainer
