// Hand-written backward against automatic differentiation and central differences, for every row
// of the registry, in float64.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "common/rng.h"
#include "tests/architectures/staged_step.h"

namespace crossloom::architectures::test {
namespace {

/// Values are of order 1: 1e-10 is far above float64 rounding and far below any real mistake.
constexpr double kOracleTolerance = 1e-10;
/// The 4-point rule at step 1e-3 errs by about 1e-12·f⁗ + ε·f/h ≈ 1e-11 here.
constexpr double kDifferenceStep = 1e-3;
constexpr double kDifferenceTolerance = 1e-8;

class Gradients : public ::testing::TestWithParam<Registry::Row> {};

const Sizes kSizes[] = {
    {.tokens = 7, .layers = 3, .width = 5, .features = 11, .k = 3},
    {.tokens = 33, .layers = 4, .width = 70, .features = 40, .k = 9},  // vectors and a tail
    {.tokens = 1, .layers = 1, .width = 1, .features = 1, .k = 1},
};

std::vector<at::Tensor> targets(const Sizes& sizes) {
  auto y = random_rows(sizes, at::kDouble, 9);
  if (sizes.tokens == 1) {  // one token has no variance: the energy would be 0
    for (at::Tensor& target : y) {
      target = at::cat({target, target + 1.0});
    }
  }
  return y;
}

std::vector<at::Tensor> inputs(const Sizes& sizes) {
  auto x = random_rows(sizes, at::kDouble, 5);
  if (sizes.tokens == 1) {
    for (at::Tensor& input : x) {
      input = at::cat({input, -input});
    }
  }
  return x;
}

void expect_equal_steps(const Registry::Row& row, const TranscoderOptions& options,
                        const Sizes& sizes, const Terms& terms) {
  const auto transcoder = random_transcoder(options, sizes);
  const auto x = inputs(sizes);
  const auto y = targets(sizes);
  const StepResult staged = staged_step(*transcoder, x, y, terms);
  const StepResult oracle = oracle_step(row, *transcoder, x, y, terms);
  EXPECT_NEAR(staged.loss, oracle.loss, kOracleTolerance * std::abs(oracle.loss));
  for (size_t l = 0; l < x.size(); ++l) {
    EXPECT_LE(distance(staged.y_hat[l], oracle.y_hat[l]), kOracleTolerance);
    LayerCodes entries = staged.codes[l];
    entries.value = at::ones_like(entries.value);
    const at::Tensor coded = dense(entries, sizes.features);
    entries.value = staged.value_grad[l];
    EXPECT_LE(distance(dense(entries, sizes.features), oracle.value_grad[l] * coded),
              kOracleTolerance);
  }
  for (size_t p = 0; p < staged.gradients.size(); ++p) {
    const Parameter& parameter = transcoder->parameters()[p];
    EXPECT_LE(distance(staged.gradients[p], oracle.gradients[p]), kOracleTolerance)
        << parameter.name;
    EXPECT_EQ(staged.finished_calls[p], parameter.training == Training::kFixed ? 0 : 1)
        << parameter.name;
  }
  const bool any_gradient =
      std::any_of(staged.gradients.begin(), staged.gradients.end(),
                  [](const at::Tensor& g) { return g.abs().max().item<double>() > 1e-3; });
  EXPECT_TRUE(any_gradient) << "all gradients are tiny: this test could not fail";
}

TEST_P(Gradients, StagedBackwardEqualsTheAutogradOracle) {
  for (const Sizes& sizes : kSizes) {
    const TranscoderOptions options = options_for(GetParam().name, sizes);
    for (const Terms& terms :
         {Terms::none(), Terms{}, Terms{.through_norms = false}, Terms{.pull_through_norms = false},
          Terms{.through_norms = false, .pull_through_norms = false}, Terms{.pull_by_norms = false},
          Terms{.sparsity_weight = 0.0}, Terms{.sparsity_weight = 0.0, .pull_through_norms = false},
          Terms{.silent_pull = 0.0}}) {
      expect_equal_steps(GetParam(), options, sizes, terms);
    }
  }
}

std::vector<Registry::Row> rows_where(const std::function<bool(const Registry::Row&)>& wanted) {
  std::vector<Registry::Row> rows;
  for (const Registry::Row& row : Registry::instance().rows()) {
    if (wanted(row)) {
      rows.push_back(row);
    }
  }
  return rows;
}

class Windows : public ::testing::TestWithParam<Registry::Row> {};

TEST_P(Windows, BetweenNoneAndAllEqualTheOracle) {
  Sizes sizes{.tokens = 9, .layers = 4, .width = 6, .features = 12, .k = 3};
  for (sizes.window = 1; sizes.window < sizes.layers - 1; ++sizes.window) {
    const TranscoderOptions options = options_for(GetParam().name, sizes);
    ASSERT_FALSE(random_transcoder(options, sizes)
                     ->written_rows(0, sizes.window + 1, at::tensor({0}, at::kInt))
                     .defined());
    expect_equal_steps(GetParam(), options, sizes, {});
  }
}

INSTANTIATE_TEST_SUITE_P(CltRows, Windows, ::testing::ValuesIn(rows_where([](const auto& row) {
                           return row.topology == "clt";
                         })),
                         row_test_name);

class JumpReluVariants : public ::testing::TestWithParam<Registry::Row> {};

TEST_P(JumpReluVariants, EqualTheOracle) {
  TranscoderOptions options = options_for(GetParam().name, kSizes[0]);
  for (const char* height : {"theta", "pre"}) {
    for (const char* passed : {"masked", "positive", "all"}) {
      options.jumprelu.threshold_gradient = height;
      options.jumprelu.input_gradient = passed;
      const ::testing::ScopedTrace trace(__FILE__, __LINE__, std::string(height) + " " + passed);
      expect_equal_steps(GetParam(), options, kSizes[0], {});
    }
  }
}

INSTANTIATE_TEST_SUITE_P(JumpReluRows, JumpReluVariants,
                         ::testing::ValuesIn(rows_where([](const auto& row) {
                           return row.activation == "jumprelu";
                         })),
                         row_test_name);

/// Loss as a function of one scalar parameter; sets `kept` false when the selection changes.
double loss_at(const Transcoder& transcoder, const at::Tensor& element, double value,
               const std::vector<at::Tensor>& x, const std::vector<at::Tensor>& y,
               const Codes& selection, bool& kept) {
  const double before = element.item<double>();
  element.fill_(value);
  const StepResult result = staged_step(transcoder, x, y, {});
  element.fill_(before);
  for (size_t l = 0; l < x.size(); ++l) {
    kept = kept && at::equal(result.codes[l].index, selection[l].index) &&
           at::equal(result.codes[l].value.gt(0), selection[l].value.gt(0));
  }
  return result.loss;
}

TEST_P(Gradients, GradientsEqualCentralDifferences) {
  const Sizes& sizes = kSizes[0];
  const auto transcoder = random_transcoder(GetParam().name, sizes);
  const auto x = inputs(sizes);
  const auto y = targets(sizes);
  const StepResult step = staged_step(*transcoder, x, y, {});
  int compared = 0;
  int at_a_kink = 0;
  for (size_t p = 0; p < step.gradients.size(); ++p) {
    if (transcoder->parameters()[p].training != Training::kTrained) {
      continue;  // a threshold's gradient is a surrogate: the loss itself jumps
    }
    const at::Tensor flat = transcoder->parameters()[p].value.view(-1);
    for (int64_t i = 0; i < flat.numel(); i += 1 + flat.numel() / 12) {
      const at::Tensor element = flat.select(0, i);
      const double centre = element.item<double>();
      bool kept = true;
      const auto f = [&](double steps) {
        return loss_at(*transcoder, element, centre + steps * kDifferenceStep, x, y, step.codes,
                       kept);
      };
      const double difference = (8.0 * (f(1) - f(-1)) - (f(2) - f(-2))) / (12.0 * kDifferenceStep);
      if (!kept) {
        ++at_a_kink;
        continue;
      }
      ++compared;
      EXPECT_NEAR(step.gradients[p].view(-1)[i].item<double>(), difference, kDifferenceTolerance)
          << transcoder->parameters()[p].name << "[" << i << "]";
    }
  }
  EXPECT_GT(compared, 10 * at_a_kink);
  EXPECT_GT(compared, 50);
}

TEST_P(Gradients, ColumnRangesAddUpToTheWhole) {
  const Sizes sizes{.tokens = 9, .layers = 3, .width = 128, .features = 60, .k = 4};
  const auto transcoder = random_transcoder(GetParam().name, sizes);
  const auto x = random_rows(sizes, at::kDouble, 5);
  const auto y_grad = random_rows(sizes, at::kDouble, 6);
  const Codes codes = encode(*transcoder, x);
  const double tolerance = has_fixed_order(GetParam(), *transcoder, codes) ? 0.0 : kOracleTolerance;
  KeepingSink whole_sink(transcoder->parameters());
  std::vector<at::Tensor> whole;
  transcoder->decode(codes, x, {0, 128}, whole);
  const auto whole_grad = transcoder->decode_backward(codes, x, y_grad, {0, 128}, {}, whole_sink);

  KeepingSink sink(transcoder->parameters());
  CodeGradients sum;
  for (const LayerCodes& layer : codes) {
    sum.push_back(at::zeros_like(layer.value));
  }
  for (const ColumnRange columns : {ColumnRange{0, 64}, ColumnRange{64, 128}}) {
    std::vector<at::Tensor> y_hat;
    std::vector<at::Tensor> part;
    transcoder->decode(codes, x, columns, y_hat);
    for (size_t l = 0; l < x.size(); ++l) {
      EXPECT_LE(distance(y_hat[l], whole[l].narrow(1, columns.begin, 64)), tolerance);
      part.push_back(y_grad[l].narrow(1, columns.begin, 64));
    }
    const auto value_grad = transcoder->decode_backward(codes, x, part, columns, {}, sink);
    for (size_t l = 0; l < x.size(); ++l) {
      sum[l].add_(value_grad[l]);
    }
  }
  for (size_t l = 0; l < x.size(); ++l) {
    EXPECT_LE(distance(sum[l], whole_grad[l]), kOracleTolerance);
  }
  for (size_t p = 0; p < sink.gradients.size(); ++p) {
    // What no column owns (affine maps) is a sum over columns, like the codes' gradients.
    const bool shared = transcoder->parameters()[p].rule == ShardRule::kReplicated;
    EXPECT_LE(distance(sink.gradients[p], whole_sink.gradients[p]),
              shared ? kOracleTolerance : tolerance);
  }
}

TEST_P(Gradients, GradientDescentOverfitsOneBatch) {
  const Sizes sizes{.tokens = 8, .layers = 2, .width = 6, .features = 24, .k = 8};
  const auto transcoder = random_transcoder(GetParam().name, sizes);
  const auto x = random_rows(sizes, at::kDouble, 5);
  const auto y = random_rows(sizes, at::kDouble, 6);
  const double before = staged_step(*transcoder, x, y).loss;
  for (int step = 0; step < 300; ++step) {
    const StepResult result = staged_step(*transcoder, x, y);
    for (size_t p = 0; p < result.gradients.size(); ++p) {
      transcoder->parameters()[p].value.sub_(result.gradients[p], 0.1);
    }
  }
  EXPECT_LT(staged_step(*transcoder, x, y).loss, 0.2 * before);
}

INSTANTIATE_TEST_SUITE_P(EveryRow, Gradients, ::testing::ValuesIn(Registry::instance().rows()),
                         row_test_name);

}  // namespace
}  // namespace crossloom::architectures::test
