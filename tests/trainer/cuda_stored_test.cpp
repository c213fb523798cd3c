// Adam in few bytes on a GPU: the codes of its CPU twin up to one step, for the CPU estimates roots
// and quotients, and rounding that is unbiased.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/device_memory.h"
#include "tests/support/random_codes.h"
#include "tests/trainer/cuda_coefficients.h"
#include "trainer/stored_kernels.h"

namespace crossloom::trainer {
namespace {

using namespace crossloom::test;

class StoredOnGpu : public OnGpu {};

constexpr Stored kStates[] = {Stored::kFloat, Stored::kHalf, Stored::kByte};

StoredCoefficients coefficients(uint64_t key) {
  const AdamOptions options;
  return {.adam = adam_coefficients<float>(options, 3, 0.01, 0.5),
          .smallest_second = static_cast<float>(smallest_second(options.beta1, options.beta2)),
          .key = key};
}

CudaNumber number_of(Stored type) {
  return type == Stored::kFloat  ? CudaNumber::kFloat
         : type == Stored::kHalf ? CudaNumber::kHalf
                                 : CudaNumber::kByte;
}

at::ScalarType scalar_of(Stored type, at::ScalarType byte) {
  return type == Stored::kByte ? byte : type == Stored::kHalf ? at::kBFloat16 : at::kFloat;
}

/// What is updated, and how.
struct Case {
  Stored weight;
  Stored state;
  bool with_first;
};

/// Weights 1, moments 0, [rows, row].
struct Memory {
  Memory(int64_t rows, int64_t row, const Case& c)
      : weights(at::ones({rows, row}, scalar_of(c.weight, at::kByte))),
        first(at::zeros({rows, row}, scalar_of(c.state, at::kChar))),
        second(at::zeros({rows, row}, scalar_of(c.state, at::kByte))),
        first_scales(at::zeros({rows, (row + kStateBlock - 1) / kStateBlock}, at::kFloat)),
        second_scales(at::zeros_like(first_scales)) {}
  at::Tensor weights, first, second, first_scales, second_scales;
};

/// Row by row: rows end blocks.
void update(const Memory& memory, const Case& c, const at::Tensor& gradient, int64_t element,
            const StoredCoefficients& coefficients) {
  const int64_t row = gradient.size(1);
  for (int64_t r = 0; r < gradient.size(0); ++r) {
    const auto at = [r](const at::Tensor& all) { return all[r].mutable_data_ptr(); };
    adam_stored_stretch({.weights = at(memory.weights),
                         .weight_type = c.weight,
                         .first = c.with_first ? at(memory.first) : nullptr,
                         .second = at(memory.second),
                         .state_type = c.state,
                         .first_scales = memory.first_scales[r].mutable_data_ptr<float>(),
                         .second_scales = memory.second_scales[r].mutable_data_ptr<float>()},
                        gradient[r].const_data_ptr<float>(), row, element + r * row,
                        StoredRates(coefficients, c.with_first));
  }
}

/// The memory after the same update on the GPU.
Memory updated_on_gpu(const Memory& memory, const Case& c, const at::Tensor& gradient,
                      int64_t element, const StoredCoefficients& coefficients) {
  const DeviceTensor weights(memory.weights), first(memory.first), second(memory.second);
  const DeviceTensor first_scales(memory.first_scales), second_scales(memory.second_scales);
  const DeviceTensor device_gradient(gradient);
  const DeviceArray<CudaStoredAdam> device_coefficients(
      {{.adam = cuda_adam(coefficients.adam),
        .smallest_second = coefficients.smallest_second,
        .key = coefficients.key}});
  expect_success(cuda_part().adam_stored({.weights = weights.data<void>(),
                                          .weight_type = number_of(c.weight),
                                          .first = c.with_first ? first.data<void>() : nullptr,
                                          .second = second.data<void>(),
                                          .state_type = number_of(c.state),
                                          .first_scales = first_scales.data(),
                                          .second_scales = second_scales.data(),
                                          .gradient = device_gradient.data(),
                                          .count = gradient.numel(),
                                          .row = gradient.size(1),
                                          .element = element,
                                          .coefficients = device_coefficients.data()},
                                         nullptr));
  Memory after = memory;
  after.weights = weights.read();
  after.first = first.read();
  after.second = second.read();
  after.first_scales = first_scales.read();
  after.second_scales = second_scales.read();
  return after;
}

/// Moments are made without estimates; only codes' roots are estimated.
void expect_same_moments(const at::Tensor& gpu, const at::Tensor& cpu, Stored state) {
  if (state == Stored::kByte) {
    EXPECT_LE((gpu.to(at::kInt) - cpu.to(at::kInt)).abs().max().item<int>(), 1);
  } else {
    EXPECT_TRUE(at::allclose(gpu.to(at::kFloat), cpu.to(at::kFloat), 1e-6, 1e-12));
  }
}

/// One more step from where three steps on the CPU have led.
void check_step(int64_t rows, int64_t row, const Case& c) {
  const Memory memory(rows, row, c);
  for (uint64_t step = 1; step <= 3; ++step) {
    update(memory, c, random_floats({rows, row}, step), 1000, coefficients(step));
  }
  const at::Tensor before = memory.weights.to(at::kFloat).clone();
  const at::Tensor gradient = random_floats({rows, row}, 4);
  gradient[0].zero_();  // codes stay
  const Memory gpu = updated_on_gpu(memory, c, gradient, 1000, coefficients(4));
  update(memory, c, gradient, 1000, coefficients(4));
  EXPECT_TRUE(at::allclose(gpu.first_scales, memory.first_scales, 1e-6, 0.0));
  EXPECT_TRUE(at::allclose(gpu.second_scales, memory.second_scales, 1e-6, 0.0));
  expect_same_moments(gpu.first, memory.first, c.state);
  expect_same_moments(gpu.second, memory.second, c.state);
  const at::Tensor after = memory.weights.to(at::kFloat);
  const at::Tensor difference = (gpu.weights.to(at::kFloat) - after).abs();
  const double spacing = c.weight == Stored::kHalf ? 0x1p-7 : 1e-6;  // of numbers below 2
  // Estimates of root and quotient: 2 · 10⁻³ each without such instructions, 2⁻¹² with them.
  EXPECT_TRUE((difference <= 5e-3 * (after - before).abs() + spacing).all().item<bool>())
      << "row " << row << ", state " << static_cast<int>(c.state);
}

TEST_F(StoredOnGpu, StepsAsTheCpuDoes) {
  for (const Stored weight : {Stored::kFloat, Stored::kHalf}) {
    for (const Stored state : kStates) {
      for (const bool with_first : {true, false}) {
        for (const int64_t row : {1, 17, 64, 72, 768}) {
          check_step(5, row, {weight, state, with_first});
        }
      }
    }
  }
}

/// Many elements with the same true numbers: the mean of what is stored is the number.
TEST_F(StoredOnGpu, RoundingIsUnbiased) {
  constexpr int64_t kRows = 1 << 10;
  const Case c{Stored::kHalf, Stored::kByte, true};
  at::Tensor gradient = at::full({kRows, kStateBlock}, 0.3F);
  gradient.select(1, 0).fill_(1.0F);  // a block's largest, which sets its scale
  StoredCoefficients step = coefficients(77);
  step.adam.scale = 1.0F;
  const Memory gpu = updated_on_gpu(Memory(kRows, kStateBlock, c), c, gradient, 0, step);
  const auto mean = [](const at::Tensor& all) {
    return all.to(at::kDouble).narrow(1, 1, kStateBlock - 1).mean().item<double>();
  };
  const double m = 0.1 * 0.3;
  const double v = 0.001 * 0.09;
  const double root = std::sqrt(v) * static_cast<double>(step.adam.root);
  const double want = 1.0 - static_cast<double>(step.adam.step_size) * m / (root + 1e-8);
  EXPECT_NEAR(mean(gpu.weights), want, 4.0 * 0x1p-8 / std::sqrt(kRows * kStateBlock));
  const at::Tensor q = gpu.first.to(at::kDouble);
  EXPECT_NEAR(mean(q * q.abs() / (127.0 * 127.0) * gpu.first_scales), m, 2e-3 * m);
  const at::Tensor fourth = gpu.second.to(at::kDouble).pow(4) / std::pow(255.0, 4);
  EXPECT_NEAR(mean(fourth * gpu.second_scales), v, 2e-3 * v);
}

}  // namespace
}  // namespace crossloom::trainer
