// Sinks: where a micro-step's parameter gradients go. They add up in a flat buffer (several token
// shards, ranks or terms, or a norm to clip by), or each is consumed by the optimizer where it is
// made, and no buffer exists (applying_sink.h).
#pragma once

#include <cstring>
#include <vector>

#include "architectures/transcoder.h"
#include "trainer/flat_buffer.h"

namespace crossloom::trainer {

/// Stores stretches in a flat buffer.
class StoringStretches final : public architectures::GradientStretches {
 public:
  explicit StoringStretches(const at::Tensor& gradient)
      : data_(static_cast<std::byte*>(gradient.mutable_data_ptr())) {}
  void take(int64_t first, int64_t count, const float* gradient) override {
    store(first, count, gradient);
  }
  void take(int64_t first, int64_t count, const double* gradient) override {
    store(first, count, gradient);
  }

 private:
  template <typename Real>
  void store(int64_t first, int64_t count, const Real* gradient) {
    std::memcpy(reinterpret_cast<Real*>(data_) + first, gradient,
                static_cast<size_t>(count) * sizeof(Real));
  }

  std::byte* data_;
};

/// Overwrites what the last micro-step left in `gradients`: with zeros where terms are added, with
/// stretches where they come complete.
class AccumulatingSink final : public architectures::ParameterSink {
 public:
  explicit AccumulatingSink(FlatBuffer& gradients)
      : gradients_(gradients), begun_(gradients.count(), false) {
    for (size_t p = 0; p < gradients.count(); ++p) {
      stores_.emplace_back(gradients.view(p));
    }
  }
  at::Tensor gradient(size_t parameter) override {
    const at::Tensor& view = gradients_.view(parameter);
    if (!begun_[parameter]) {
      view.zero_();
      begun_[parameter] = true;
    }
    return view;
  }
  void finished(size_t) override {}
  architectures::GradientStretches* stretches(size_t parameter) override {
    if (begun_[parameter]) {
      return nullptr;  // another term is there already
    }
    begun_[parameter] = true;
    return &stores_[parameter];
  }
  /// Zeros for the parameters that no term has touched.
  void close() {
    for (size_t p = 0; p < begun_.size(); ++p) {
      gradient(p);
    }
  }

 private:
  FlatBuffer& gradients_;
  std::vector<bool> begun_;
  std::vector<StoringStretches> stores_;
};

/// Passes gradients on but not `finished`: for a term that is not the last of its micro-step.
class HoldingSink final : public architectures::ParameterSink {
 public:
  explicit HoldingSink(architectures::ParameterSink& sink) : sink_(sink) {}
  at::Tensor gradient(size_t parameter) override { return sink_.gradient(parameter); }
  void finished(size_t) override {}

 private:
  architectures::ParameterSink& sink_;
};

}  // namespace crossloom::trainer
