// The updates of all parameters in one step: started together, then applied as gradients come
// (applying_sink.h), or from what a rank owns of their sum over shards and ranks.
#pragma once

#include <memory>
#include <vector>

#include "trainer/application.h"

namespace crossloom::trainer {

class Updates {
 public:
  /// One application per parameter, in their order.
  explicit Updates(std::vector<std::unique_ptr<Application>> applications)
      : applications_(std::move(applications)) {}

  /// `learning_rate` of the weights, `threshold_rate` of thresholds; `scale` > 0 of gradients.
  void start_step(int64_t step, double learning_rate, double threshold_rate, double scale);
  Application& of(size_t parameter) { return *applications_[parameter]; }
  /// Applies the gradient of what `own` holds of the flat vector: [own.count()].
  void apply(const FlatLayout& layout, const Range& own, const at::Tensor& gradient);
  /// √Σ g² of what came as gradients came; its bits do not depend on threads.
  double gradient_norm() const;

 private:
  std::vector<std::unique_ptr<Application>> applications_;
};

}  // namespace crossloom::trainer
