// Weights and moments in few bytes: the kernel against float32 Adam, rounding that is unbiased and
// does not depend on how work is cut.
#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/instruction_sets.h"
#include "trainer/adam.h"
#include "trainer/stored_kernels.h"

namespace crossloom::trainer {
namespace {

StoredCoefficients coefficients(double rate, uint64_t key) {
  AdamOptions options;
  return {.adam = adam_coefficients<float>(options, 3, rate, 1.0),
          .smallest_second = static_cast<float>(smallest_second(options.beta1, options.beta2)),
          .key = key};
}

/// A stretch's memory in one of the types, as tensors.
struct Memory {
  Memory(int64_t count, Stored weight, Stored state)
      : weight_type(weight),
        state_type(state),
        weights(at::zeros({count}, weight == Stored::kFloat ? at::kFloat : at::kBFloat16)),
        first(at::zeros({count}, type(at::kChar))),
        second(at::zeros({count}, type(at::kByte))),
        first_scales(at::zeros({(count + 63) / 64}, at::kFloat)),
        second_scales(at::zeros({(count + 63) / 64}, at::kFloat)) {}
  at::ScalarType type(at::ScalarType byte) const {
    return state_type == Stored::kByte   ? byte
           : state_type == Stored::kHalf ? at::kBFloat16
                                         : at::kFloat;
  }
  StoredStretch stretch(int64_t begin = 0) const {
    const auto at = [begin](const at::Tensor& t) {
      return static_cast<char*>(t.mutable_data_ptr()) + begin * t.element_size();
    };
    return {.weights = at(weights),
            .weight_type = weight_type,
            .first = at(first),
            .second = at(second),
            .state_type = state_type,
            .first_scales = first_scales.mutable_data_ptr<float>() + begin / 64,
            .second_scales = second_scales.mutable_data_ptr<float>() + begin / 64};
  }

  Memory copy() const {
    Memory other = *this;
    for (at::Tensor* all :
         {&other.weights, &other.first, &other.second, &other.first_scales, &other.second_scales}) {
      *all = all->clone();
    }
    return other;
  }

  Stored weight_type, state_type;
  at::Tensor weights, first, second, first_scales, second_scales;
};

constexpr Stored kStates[] = {Stored::kFloat, Stored::kHalf, Stored::kByte};

TEST(StoredKernels, InFloat32IsAdamToThreeDigits) {
  crossloom::test::for_every_instruction_set([] {
    for (const int64_t count : {1, 17, 64, 200}) {
      Memory memory(count, Stored::kFloat, Stored::kFloat);
      at::Tensor w = at::zeros({count}, at::kFloat);
      at::Tensor m = at::zeros({count}, at::kFloat);
      at::Tensor v = at::zeros({count}, at::kFloat);
      at::Tensor moved = at::zeros({count}, at::kFloat);  // Σ |Δw|: steps may cancel
      for (int64_t step = 1; step <= 5; ++step) {
        const at::Tensor g = at::randn({count}, at::kFloat);
        const at::Tensor before = w.clone();
        const auto c = coefficients(0.01, static_cast<uint64_t>(step));
        adam_stored_stretch(memory.stretch(), g.const_data_ptr<float>(), count, 0, StoredRates(c));
        adam_stretch(w.mutable_data_ptr<float>(), g.const_data_ptr<float>(),
                     m.mutable_data_ptr<float>(), v.mutable_data_ptr<float>(), count, c.adam);
        moved.add_((w - before).abs());
      }
      // A moment that nearly cancels keeps the rounding of what it was made of.
      EXPECT_TRUE(at::allclose(memory.first, m, 1e-5, 1e-6));
      EXPECT_TRUE(at::allclose(memory.second, v, 1e-5, 1e-9));
      // Estimates of root and quotient: 2 · 10⁻³ each without such instructions, 2⁻¹² with them.
      EXPECT_TRUE(((memory.weights - w).abs() <= 5e-3 * moved + 1e-6).all().item<bool>())
          << "count " << count;
    }
  });
}

/// What 8-bit moments stand for, float64 [blocks, 64].
at::Tensor first_numbers(const Memory& memory) {
  const at::Tensor q = memory.first.to(at::kDouble).view({-1, 64});
  return q * q.abs() / (127.0 * 127.0) * memory.first_scales.to(at::kDouble).unsqueeze(1);
}
at::Tensor second_numbers(const Memory& memory) {
  const at::Tensor q = memory.second.to(at::kDouble).view({-1, 64});
  return q.pow(4) / std::pow(255.0, 4) * memory.second_scales.to(at::kDouble).unsqueeze(1);
}

/// Many elements with the same true numbers: the mean of what is stored is the number.
TEST(StoredKernels, RoundingIsUnbiased) {
  constexpr int64_t kCount = 1 << 16;
  for (const Stored state : kStates) {
    Memory memory(kCount, Stored::kHalf, state);
    memory.weights.fill_(1.0);
    at::Tensor g = at::full({kCount}, 0.3F);
    g.view({-1, 64}).select(1, 0).fill_(1.0F);  // a block's largest, which sets its scale
    const auto c = coefficients(1e-3, 77);
    adam_stored_stretch(memory.stretch(), g.const_data_ptr<float>(), kCount, 0, StoredRates(c));
    const auto rest = [](const at::Tensor& all) { return all.view({-1, 64}).narrow(1, 1, 63); };
    const double m = 0.1 * 0.3;
    const double v = 0.001 * 0.09;
    const double root = c.adam.root;
    const double want = 1.0 - c.adam.step_size * m / (std::sqrt(v) * root + 1e-8);
    const double spread = std::pow(2.0, -8) / std::sqrt(kCount);  // of a mean of roundings
    EXPECT_NEAR(rest(memory.weights).to(at::kDouble).mean().item<double>(), want, 4.0 * spread);
    if (state == Stored::kFloat) {
      continue;
    }
    const bool bytes = state == Stored::kByte;
    const at::Tensor first = bytes ? first_numbers(memory) : memory.first.to(at::kDouble);
    const at::Tensor second = bytes ? second_numbers(memory) : memory.second.to(at::kDouble);
    EXPECT_NEAR(rest(first).mean().item<double>(), m, 2e-3 * m);
    EXPECT_NEAR(rest(second).mean().item<double>(), v, 2e-3 * v);
    // Neighbouring codes are 2/q (q 70) and 4/q (q 140) apart, 3 %, or 2⁻⁸ in bfloat16.
    EXPECT_LE((rest(first) / m - 1.0).abs().max().item<double>(), 0.05);
    EXPECT_LE((rest(second) / v - 1.0).abs().max().item<double>(), 0.05);
  }
}

/// One rounding: m exactly, v up to 1/(2q³) of it from code 1 on (trainer/stored_numbers-inl.h).
TEST(StoredKernels, SmallBytesAreUnbiasedToo) {
  constexpr int64_t kCount = 1 << 18;
  const auto c = coefficients(1e-3, 78);
  crossloom::test::for_every_instruction_set([&] {
    for (const double part : {7e-5, 3e-4, 2e-3, 1.7e-2, 0.3}) {  // of a block's largest gradient
      Memory memory(kCount, Stored::kHalf, Stored::kByte);
      at::Tensor g = at::full({kCount}, static_cast<float>(part));
      g.view({-1, 64}).select(1, 0).fill_(1.0F);
      adam_stored_stretch(memory.stretch(), g.const_data_ptr<float>(), kCount, 0, StoredRates(c));
      const auto mean = [](const at::Tensor& all) {
        return all.view({-1, 64}).narrow(1, 1, 63).mean().item<double>();
      };
      const double m = 0.1 * part;
      const double v = 0.001 * part * part;
      const double first_code = 127.0 * std::sqrt(part);
      const double second_code = 255.0 * std::sqrt(part);
      const double draws = std::sqrt(static_cast<double>(kCount));
      // Codes deviate by at most one half; estimated roots are 2⁻¹¹ off.
      EXPECT_NEAR(mean(first_numbers(memory)) / m, 1.0, 5.0 / first_code / draws + 0x1p-10)
          << "part " << part;
      EXPECT_NEAR(mean(second_numbers(memory)) / v, 1.0,
                  10.0 / second_code / draws + 0.5 / std::pow(second_code, 3))
          << "part " << part;
    }
  });
}

/// Thousands of roundings: what stored_numbers-inl.h says of small codes, and as much room again as
/// the mean of so few elements needs. A rule that is only right within a step loses nearly all.
TEST(StoredKernels, SmallSecondMomentsStandThousandsOfRoundings) {
  constexpr int64_t kCount = 1 << 14;
  constexpr uint64_t kSteps = 4000;
  struct Expected {
    double code;  // of v, in steady state
    double error;
  };
  for (const auto& [code, error] :
       {Expected{0.5, 0.15}, Expected{1.0, 0.06}, Expected{1.4, 0.18}, Expected{2.1, 0.05},
        Expected{3.8, 0.03}, Expected{20.0, 0.01}}) {
    Memory memory(kCount, Stored::kHalf, Stored::kByte);
    const double part = std::pow(code / 255.0, 2);
    at::Tensor g = at::full({kCount}, static_cast<float>(part));
    g.view({-1, 64}).select(1, 0).fill_(1.0F);
    for (uint64_t step = 1; step <= kSteps; ++step) {
      adam_stored_stretch(memory.stretch(), g.const_data_ptr<float>(), kCount, 0,
                          StoredRates(coefficients(1e-3, step)));
    }
    const double v = (1.0 - std::pow(0.999, kSteps)) * part * part;
    const double mean = second_numbers(memory).narrow(1, 1, 63).mean().item<double>();
    EXPECT_NEAR(mean / v, 1.0, error) << "code " << code;
  }
}

TEST(StoredKernels, BitsDoNotDependOnStretches) {
  constexpr int64_t kCount = 512;
  for (const Stored state : kStates) {
    Memory whole(kCount, Stored::kHalf, state);
    Memory cut(kCount, Stored::kHalf, state);
    for (uint64_t step = 1; step <= 4; ++step) {
      const at::Tensor g = at::randn({kCount}, at::kFloat);
      const auto c = coefficients(0.01, step);
      adam_stored_stretch(whole.stretch(), g.const_data_ptr<float>(), kCount, 1000, StoredRates(c));
      for (int64_t begin = 0; begin < kCount; begin += 128) {
        adam_stored_stretch(cut.stretch(begin), g.const_data_ptr<float>() + begin, 128,
                            1000 + begin, StoredRates(c));
      }
    }
    EXPECT_TRUE(at::equal(whole.weights, cut.weights));
    EXPECT_TRUE(at::equal(whole.first, cut.first));
    EXPECT_TRUE(at::equal(whole.second, cut.second));
    EXPECT_TRUE(at::equal(whole.second_scales, cut.second_scales));
  }
}

TEST(StoredKernels, ASecondMomentRoundedToZeroMakesNoStepOfItself) {
  Memory memory(64, Stored::kFloat, Stored::kByte);
  at::Tensor g = at::full({64}, 1e-6F);
  g[0] = 1e6F;
  const auto c = coefficients(0.01, 5);
  for (int i = 0; i < 50; ++i) {
    const at::Tensor before = memory.weights.clone();
    adam_stored_stretch(memory.stretch(), g.const_data_ptr<float>(), 64, 0, StoredRates(c));
    const double step = (memory.weights - before).abs().max().item<double>();
    EXPECT_LE(step, 7.5 * c.adam.step_size / c.adam.root);
    EXPECT_TRUE(memory.weights.isfinite().all().item<bool>());
  }
}

TEST(StoredKernels, WithoutAGradientCodesStayAndMomentsShrink) {
  crossloom::test::for_every_instruction_set([] {
    Memory memory(192, Stored::kFloat, Stored::kByte);
    at::Tensor g = at::randn({3, 64}, at::kFloat) * 1e-3;
    const auto c = coefficients(0.01, 5);
    for (int i = 0; i < 3; ++i) {
      adam_stored_stretch(memory.stretch(), g.const_data_ptr<float>(), 192, 0, StoredRates(c));
    }
    const Memory before = memory.copy();
    g = at::randn({3, 64}, at::kFloat) * 1e-3;
    g[1].zero_();
    adam_stored_stretch(memory.stretch(), g.const_data_ptr<float>(), 192, 0, StoredRates(c));
    const auto middle = [](const at::Tensor& all) { return all.view({3, 64})[1]; };
    EXPECT_TRUE(at::equal(middle(memory.first), middle(before.first)));
    EXPECT_TRUE(at::equal(middle(memory.second), middle(before.second)));
    EXPECT_FALSE(at::equal(memory.second, before.second));
    const at::Tensor m = first_numbers(before)[1] * 0.9;
    const at::Tensor v = second_numbers(before)[1] * 0.999;
    EXPECT_TRUE(at::allclose(first_numbers(memory)[1], m, 1e-6, 0.0));
    EXPECT_TRUE(at::allclose(second_numbers(memory)[1], v, 1e-6, 0.0));
    const double smallest = c.smallest_second;
    const at::Tensor root = at::maximum(v, m.square() * smallest).sqrt();
    const at::Tensor move = m * c.adam.step_size / (root * c.adam.root + c.adam.epsilon);
    const at::Tensor moved = (middle(before.weights) - middle(memory.weights)).to(at::kDouble);
    EXPECT_TRUE(((moved - move).abs() <= 5e-3 * move.abs() + 1e-7).all().item<bool>());
  });
}

}  // namespace
}  // namespace crossloom::trainer
