// Nested reconstruction over the registry: one group is the plain reconstruction (identity 8), and
// its gradients are those of differences.
#include <gtest/gtest.h>

#include "architectures/matryoshka.h"
#include "tests/architectures/staged_step.h"

namespace crossloom::architectures::test {
namespace {

class Matryoshka : public ::testing::TestWithParam<Registry::Row> {
 protected:
  const Sizes sizes_;
  std::unique_ptr<Transcoder> transcoder_ = random_transcoder(GetParam().name, sizes_);
  std::vector<at::Tensor> x_ = random_rows(sizes_, at::kDouble, 5);
  std::vector<at::Tensor> y_ = random_rows(sizes_, at::kDouble, 6);
  Codes codes_ = encode(*transcoder_, x_);
  std::vector<double> denominators_ = {3.0, 5.0, 7.0};
  KeepingSink sink_{transcoder_->parameters()};

  NestedTerm nested(const std::vector<int64_t>& prefixes, ParameterSink& sink) const {
    return nested_reconstruction(*transcoder_, codes_, x_, y_, prefixes, denominators_, sink);
  }
  double loss(const std::vector<int64_t>& prefixes) const {
    KeepingSink ignored(transcoder_->parameters());
    const auto term = nested(prefixes, ignored);
    double sum = 0.0;
    for (size_t l = 0; l < term.squared.size(); ++l) {
      sum += term.squared[l] / denominators_[l];
    }
    return sum;
  }
  /// (loss(v + s) − loss(v − s)) / 2s; the loss is quadratic in each number, so this is exact.
  double slope(const at::Tensor& number, const std::vector<int64_t>& prefixes) const {
    constexpr double kStep = 1e-3;  // small: affine maps have a kink at 0
    const at::Tensor before = number.clone();
    at::Tensor place = number;
    place.add_(kStep);
    const double above = loss(prefixes);
    place.sub_(2.0 * kStep);
    const double below = loss(prefixes);
    place.copy_(before);
    return (above - below) / (2.0 * kStep);
  }
};

TEST_P(Matryoshka, OneGroupIsThePlainReconstruction) {
  const NestedTerm term = nested({sizes_.features}, sink_);
  std::vector<at::Tensor> y_hat;
  const ColumnRange columns{0, sizes_.width};
  transcoder_->decode(codes_, x_, columns, y_hat);
  std::vector<at::Tensor> y_grad;
  for (size_t l = 0; l < y_.size(); ++l) {
    y_grad.push_back(at::empty_like(y_hat[l]));
    const double squared = squared_error_backward(y_[l], y_hat[l], denominators_[l], y_grad[l]);
    EXPECT_NEAR(term.squared[l], squared, 1e-12 * squared);  // dense codes sum in another order
  }
  KeepingSink plain(transcoder_->parameters());
  const auto gradients = transcoder_->decode_backward(codes_, x_, y_grad, columns, {}, plain);
  for (size_t l = 0; l < y_.size(); ++l) {
    EXPECT_LE(distance(term.value_grad[l], gradients[l]), 1e-13);
  }
  for (size_t p = 0; p < plain.gradients.size(); ++p) {
    EXPECT_LE(distance(sink_.gradients[p], plain.gradients[p]), 1e-13);
  }
}

TEST_P(Matryoshka, GradientsAreThoseOfDifferences) {
  const std::vector<int64_t> prefixes = {3, 8};
  const NestedTerm term = nested(prefixes, sink_);
  for (size_t l = 0; l < codes_.size(); ++l) {
    for (int64_t j = 0; j < codes_[l].count(); j += 3) {
      codes_[l].dense = at::Tensor();
      const double expected = slope(codes_[l].value[j], prefixes);
      EXPECT_NEAR(term.value_grad[l][j].item<double>(), expected, 1e-9) << "layer " << l;
      if (codes_[l].index[j].item<int64_t>() >= prefixes.back()) {
        EXPECT_EQ(expected, 0.0);
      }
    }
  }
  const auto& parameters = transcoder_->parameters();
  for (size_t p = 0; p < parameters.size(); ++p) {
    if (!parameters[p].name.starts_with("W_enc") && !parameters[p].name.starts_with("b_enc") &&
        parameters[p].name.find("threshold") == std::string::npos) {
      const at::Tensor values = parameters[p].value.view({-1});
      for (int64_t i = 0; i < values.size(0); i += 1 + values.size(0) / 5) {
        EXPECT_NEAR(sink_.gradients[p].view({-1})[i].item<double>(), slope(values[i], prefixes),
                    1e-9)
            << parameters[p].name;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryRow, Matryoshka, ::testing::ValuesIn(Registry::instance().rows()),
                         row_test_name);

}  // namespace
}  // namespace crossloom::architectures::test
