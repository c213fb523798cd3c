// Weight gradients in stretches, for every row and density: each element comes once, complete, and
// nothing needs the old weight of an element that has been delivered.
#include <gtest/gtest.h>

#include <limits>

#include "architectures/incremental.h"
#include "tests/architectures/staged_step.h"

namespace crossloom::architectures::test {
namespace {

constexpr double kTolerance = 1e-10;

/// Takes stretches of float64 parameters and spoils the weight they belong to.
class SpoilingStretches final : public GradientStretches {
 public:
  explicit SpoilingStretches(const at::Tensor& weight)
      : weight_(weight), gradient_(at::zeros_like(weight)), taken_(at::zeros_like(weight)) {}
  void take(int64_t, int64_t, const float*) override { ADD_FAILURE() << "not this type"; }
  void take(int64_t first, int64_t count, const double* gradient) override {
    for (int64_t i = first; i < first + count; ++i) {
      gradient_.mutable_data_ptr<double>()[i] = gradient[i - first];
      taken_.mutable_data_ptr<double>()[i] += 1.0;
      weight_.mutable_data_ptr<double>()[i] = std::numeric_limits<double>::quiet_NaN();
    }
  }
  const at::Tensor& gradient() const { return gradient_; }
  bool took_every_element_once() const { return taken_.eq(1.0).all().item<bool>(); }

 private:
  at::Tensor weight_, gradient_, taken_;
};

/// Offers stretches of every parameter.
class StretchingSink final : public ParameterSink {
 public:
  explicit StretchingSink(const std::vector<Parameter>& parameters)
      : gathered(parameters.size()), kept_(parameters) {
    for (const Parameter& parameter : parameters) {
      taken.emplace_back(parameter.value);
    }
  }
  at::Tensor gradient(size_t parameter) override {
    gathered.at(parameter) = true;
    return kept_.gradient(parameter);
  }
  void finished(size_t) override {}
  GradientStretches* stretches(size_t parameter) override { return &taken.at(parameter); }

  /// As they came, in whichever way.
  at::Tensor gradient_of(size_t parameter) {
    return gathered[parameter] ? kept_.gradients[parameter] : taken[parameter].gradient();
  }

  std::vector<SpoilingStretches> taken;
  std::vector<bool> gathered;  // gradient() was asked for

 private:
  KeepingSink kept_;
};

/// One step with either sink: the same gradients, and no buffer for a weight matrix.
void expect_stretches(const Transcoder& transcoder, const std::vector<at::Tensor>& x,
                      const std::vector<at::Tensor>& y, const Terms& terms) {
  const StepResult whole = staged_step(transcoder, x, y, terms);
  StretchingSink sink(transcoder.parameters());
  const StepResult result = staged_step_into(transcoder, x, y, terms, sink);  // spoils the weights
  for (size_t l = 0; l < x.size(); ++l) {
    EXPECT_LE(distance(result.value_grad[l], whole.value_grad[l]), kTolerance);
  }
  for (size_t p = 0; p < whole.gradients.size(); ++p) {
    const std::string& name = transcoder.parameters()[p].name;
    EXPECT_LE(distance(sink.gradient_of(p), whole.gradients[p]), kTolerance) << name;
    if (name.starts_with("W_enc") || name.starts_with("W_dec")) {
      EXPECT_FALSE(sink.gathered[p]) << name;
      EXPECT_TRUE(sink.taken[p].took_every_element_once()) << name;
    }
  }
}

class Stretches : public ::testing::TestWithParam<Registry::Row> {};

TEST_P(Stretches, EqualGatheredGradients) {
  for (const Sizes& sizes :
       {Sizes{}, Sizes{.tokens = 20, .features = 600, .k = 4},
        Sizes{.tokens = 20, .features = 600, .k = 200}}) {  // sparse and dense, several blocks
    for (const Terms& terms : {Terms::none(), Terms{}}) {
      const auto transcoder = random_transcoder(GetParam().name, sizes);
      expect_stretches(*transcoder, random_rows(sizes, at::kDouble, 5),
                       random_rows(sizes, at::kDouble, 9), terms);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryRow, Stretches, ::testing::ValuesIn(Registry::instance().rows()),
                         row_test_name);

/// Few features of all layers but the last fire, half of the last one's: its table has terms of
/// both kinds.
TEST(MixedDensities, EqualGatheredGradientsAndTheOracle) {
  const Sizes sizes{.tokens = 40, .layers = 4, .width = 9, .features = 600};
  for (const char* name : {"clt-incremental-relu", "clt-relu", "plt-relu"}) {
    const auto transcoder = random_transcoder(name, sizes);
    for (int64_t l = 0; l + 1 < sizes.layers; ++l) {
      find_parameter(*transcoder, fmt::format("b_enc_{}", l)).fill_(-1.5);
    }
    const auto x = random_rows(sizes, at::kDouble, 5);
    const auto y = random_rows(sizes, at::kDouble, 9);
    const Codes codes = encode(*transcoder, x);
    ASSERT_TRUE(codes.back().dense.defined());
    ASSERT_FALSE(codes.front().dense.defined());
    ASSERT_GT(codes.front().count(), 0);
    ASSERT_FALSE(Incremental::runs_dense(codes, sizes.features, sizes.layers - 1));
    const StepResult staged = staged_step(*transcoder, x, y, {});
    const StepResult oracle =
        oracle_step(Registry::instance().row(name), *transcoder, x, y, Terms{});
    EXPECT_NEAR(staged.loss, oracle.loss, kTolerance * oracle.loss);
    for (size_t p = 0; p < staged.gradients.size(); ++p) {
      EXPECT_LE(distance(staged.gradients[p], oracle.gradients[p]), kTolerance)
          << name << " " << transcoder->parameters()[p].name;
    }
    expect_stretches(*transcoder, x, y, {});
  }
}

}  // namespace
}  // namespace crossloom::architectures::test
