// One parameter's update: stretches of its gradient are applied as they come, or a gradient gathers
// first where a stage cannot deliver stretches; or what a rank owns is applied from a vector, where
// gradients came together before.
#pragma once

#include <memory>
#include <vector>

#include "architectures/transcoder.h"
#include "trainer/adam.h"
#include "trainer/parameter_states.h"

namespace crossloom::trainer {

class Application : public architectures::GradientStretches {
 public:
  explicit Application(const architectures::Parameter& parameter);

  /// Before what a step applies, with this parameter's learning rate. `scale` > 0, of gradients.
  virtual void start(int64_t step, double rate, double scale) = 0;

  const architectures::Parameter& parameter() const { return parameter_; }
  bool gathers() const { return gathers_; }
  /// A gradient to add into, of the parameter's shape, zero at first.
  at::Tensor gathered();
  /// Applies what has gathered.
  void finish();
  /// Applies the gradient of the elements `part`, whole state blocks: [part.count()], not counted
  /// in squares.
  void apply_part(const Range& part, const at::Tensor& gradient);
  /// Σ g² of the stretches a step took and of what gathered; its bits do not depend on threads.
  double squares() const;

  void take(int64_t first, int64_t count, const float* gradient) override;
  void take(int64_t first, int64_t count, const double* gradient) override;

 protected:
  /// A stretch within a row of the last dimension.
  virtual void apply(int64_t first, int64_t count, const float* gradient) = 0;
  virtual void apply(int64_t first, int64_t count, const double* gradient) = 0;
  void forget_squares();

 private:
  template <typename Real>
  void take_stretch(int64_t first, int64_t count, const Real* gradient);

  architectures::Parameter parameter_;
  int64_t feature_elements_;             // of an index of the first dimension: one thread's
  std::vector<double> feature_squares_;  // Σ g² of each
  bool gathers_ = false;
  at::Tensor buffer_;  // only where gradients gather
};

/// In the parameters' own type. `first_element`: the parameter's number 0 in the flat vector;
/// `moments` outlive it.
std::unique_ptr<Application> exact_application(const architectures::Parameter& parameter,
                                               int64_t first_element, const Moments& moments,
                                               const AdamOptions& options);

/// Weights and moments in few bytes. `state` outlives it.
std::unique_ptr<Application> stored_application(const architectures::Parameter& parameter,
                                                int64_t first_element, const ParameterState& state,
                                                const AdamOptions& options, uint64_t seed);

}  // namespace crossloom::trainer
