// Estimates of all pre-activations of a layer with their bounds (screen.h), from products of bytes
// (byte_frame.h, byte_products.h).
#pragma once

#include <vector>

#include "architectures/kernels/byte_frame.h"
#include "architectures/kernels/byte_products.h"
#include "architectures/kernels/ranges.h"
#include "architectures/kernels/screen.h"

namespace crossloom::architectures::kernels {

/// Whether the screen is faster than the whole product: products of bytes, float32 or bfloat16
/// weights, enough rows.
bool screening_pays(int64_t tokens, const at::Tensor& weight);

/// Layers that are screened at a time, a thread each: as many as there are threads, or 1, with all
/// threads inside, where layers do not divide well among threads or their estimates would take too
/// much memory. T tokens, width D and F' features per layer.
int64_t layers_at_once(int64_t layers, int64_t tokens, int64_t width, int64_t features);

/// One at a time in a thread, which keeps their memory.
class Estimates {
 public:
  /// Of x weightᵀ + bias: x [T, D] float32, weight [F', D] float32 or bfloat16, bias [F'] float32.
  /// T and D ≥ kScreenLanes; columns and bias contiguous.
  Estimates(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);
  Estimates(const Estimates&) = delete;
  Estimates& operator=(const Estimates&) = delete;

  /// Whether no sum of products can overflow and everything is finite.
  bool usable() const;

  /// Makes all products.
  void multiply();
  /// The same. For every token a bar that about the `kept` best estimates reach, at least
  /// as many, or 0: [T].
  std::vector<float> multiply(int64_t kept);

  int64_t count() const { return static_cast<int64_t>(errors_.size()); }   // T
  int64_t features() const { return static_cast<int64_t>(bias_.size()); }  // F'
  ScreenTokens tokens() const;
  /// After a multiply.
  ScreenFeature feature(int64_t number) const;

 private:
  void multiply_range(Range features);

  ByteFrame frame_;
  ByteRows inputs_;
  ByteRows weights_;
  float centre_norm_;            // ‖m ∘ c‖
  std::vector<float> errors_;    // a_t [T]
  std::vector<float> bias_;      // b' [F']
  std::vector<int32_t> shifts_;  // k_f [F']
  ByteTiles tiles_;
  int16_t* products_;  // [F', tiles' tokens], the thread's own
};

/// Features that a thread takes at least.
inline constexpr int64_t kFeatureGrain = 64;

}  // namespace crossloom::architectures::kernels
