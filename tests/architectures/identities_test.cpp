// Identities between architectures and properties of all of them (transcoders.md 16).
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "architectures/clt.h"
#include "architectures/incremental.h"
#include "architectures/parameter_count.h"
#include "architectures/plt.h"
#include "architectures/source_tied.h"
#include "tests/architectures/staged_step.h"

namespace crossloom::architectures::test {
namespace {

/// Codes of one token that activate feature 0 with `value`.
LayerCodes one_code(double value) {
  return {.offsets = at::tensor({0, 1}, at::kLong),
          .index = at::zeros({1}, at::kInt),
          .value = at::full({1}, value, at::kDouble)};
}

std::vector<double> decode_worked(const DecoderTopology& topology) {
  const std::vector<at::Tensor> y_hat = {at::zeros({1, 1}, at::kDouble),
                                         at::zeros({1, 1}, at::kDouble)};
  topology.add_all_writes({one_code(0.5), one_code(1.0)}, {0, 1}, y_hat);
  return {y_hat[0].item<double>(), y_hat[1].item<double>()};
}

void fill_rows(const DecoderTopology& topology, double first, double second) {
  topology.parameters()[0].value.fill_(first);
  topology.parameters()[2].value.fill_(second);
}

TEST(Topologies, WorkedValues) {
  const TranscoderShape shape{.layers = 2, .width = 1, .features = 1};
  const Clt clt(shape, at::kDouble, -1);
  clt.parameters()[0].value.copy_(at::tensor({1.0, 2.0}, at::kDouble).view({1, 2, 1}));
  clt.parameters()[2].value.fill_(3.0);
  EXPECT_EQ(decode_worked(clt), (std::vector<double>{0.5, 4.0}));
  EXPECT_DOUBLE_EQ(clt.square_norms({0, 1})[0].item<double>(), 5.0);
  EXPECT_DOUBLE_EQ(clt.square_norms({0, 1})[1].item<double>(), 9.0);
  const Incremental incremental(shape, at::kDouble);
  fill_rows(incremental, 1.0, 3.0);
  EXPECT_EQ(decode_worked(incremental), (std::vector<double>{0.5, 4.5}));
  const SourceTied tied(shape, at::kDouble);
  fill_rows(tied, 1.0, 3.0);
  EXPECT_EQ(decode_worked(tied), (std::vector<double>{0.5, 3.5}));
  const Plt plt(shape, at::kDouble);
  fill_rows(plt, 1.0, 3.0);
  EXPECT_EQ(decode_worked(plt), (std::vector<double>{0.5, 3.0}));
}

/// Gives `to` the function of `from`: equal parameters where names and shapes agree, and for each
/// pair's decoder what `from` writes there (0 where it does not write).
void copy_function(const Transcoder& from, const Transcoder& to) {
  const at::Tensor all = at::arange(to.shape().features, at::kInt);
  for (const Parameter& parameter : to.parameters()) {
    if (!parameter.name.starts_with("W_dec")) {
      parameter.value.copy_(find_parameter(from, parameter.name));
      continue;
    }
    const int64_t source = std::stoll(parameter.name.substr(6));
    const at::Tensor fat_rows =
        parameter.value.dim() == 3 ? parameter.value : parameter.value.unsqueeze(1);
    for (int64_t ahead = 0; ahead < fat_rows.size(1); ++ahead) {
      const at::Tensor rows = from.written_rows(source, source + ahead, all);
      fat_rows.select(1, ahead).copy_(rows.defined() ? rows
                                                     : at::zeros_like(fat_rows.select(1, 0)));
    }
  }
}

/// Both compute the same: loss, reconstruction, gradients of the codes, shared parameters.
void expect_same_function(const Transcoder& a, const Transcoder& b, const Sizes& sizes) {
  constexpr double kRounding = 1e-12;
  const auto x = random_rows(sizes, at::kDouble, 5);
  const auto y = random_rows(sizes, at::kDouble, 6);
  const StepResult first = staged_step(a, x, y);
  const StepResult second = staged_step(b, x, y);
  EXPECT_NEAR(first.loss, second.loss, kRounding);
  for (size_t l = 0; l < x.size(); ++l) {
    EXPECT_LE(distance(first.y_hat[l], second.y_hat[l]), kRounding);
    const auto positive = [&](const StepResult& step) {
      const LayerCodes& codes = step.codes[l];
      LayerCodes gradients = codes;
      gradients.value = step.value_grad[l] * codes.value.gt(0);
      return dense(gradients, sizes.features);
    };
    EXPECT_LE(distance(positive(first), positive(second)), kRounding);
  }
  for (const char* name : {"W_enc_1", "b_enc_1", "b_dec_1"}) {
    const auto gradient = [&](const Transcoder& transcoder, const StepResult& step) {
      for (size_t p = 0; p < step.gradients.size(); ++p) {
        if (transcoder.parameters()[p].name == name) {
          return step.gradients[p];
        }
      }
      return at::Tensor();
    };
    EXPECT_LE(distance(gradient(a, first), gradient(b, second)), kRounding) << name;
  }
}

/// The architecture `name` with options changed by `change`, and another's function.
template <typename Change>
std::unique_ptr<Transcoder> like(const Transcoder& model, const char* name, Change&& change) {
  TranscoderOptions options = model.options();
  options.architecture = name;
  change(options);
  auto transcoder = Registry::instance().create(options, model.shape(), at::kDouble);
  copy_function(model, *transcoder);
  return transcoder;
}

void unchanged(TranscoderOptions& /*options*/) {}

TEST(Topologies, EveryTopologyIsAnUntiedClt) {
  const Sizes sizes{.layers = 4};
  for (const char* name : {"plt-topk", "clt-incremental-topk", "clt-source-tied"}) {
    const auto tied = random_transcoder(name, sizes);
    expect_same_function(*tied, *like(*tied, "clt-topk", unchanged), sizes);
  }
}

/// Scale 1 for a layer's own target and 0 for later ones, shift 0 (identity 14).
TEST(Topologies, AffineStartsAsPlt) {
  const Sizes sizes{.layers = 4};
  const auto plt = random_transcoder("plt-topk", sizes);
  for (const char* name : {"clt-incremental-topk-affine", "clt-source-tied-affine"}) {
    TranscoderOptions options = plt->options();
    options.architecture = name;
    const auto affine = Registry::instance().create(options, plt->shape(), at::kDouble);
    for (const Parameter& parameter : plt->parameters()) {
      find_parameter(*affine, parameter.name).copy_(parameter.value);
    }
    expect_same_function(*plt, *affine, sizes);
  }
}

TEST(Topologies, AffineWithScaleOneIsTheTiedType) {
  const Sizes sizes{.layers = 4};
  for (const auto& [affine_name, tied_name] :
       {std::pair{"clt-incremental-topk-affine", "clt-incremental-topk"},
        std::pair{"clt-source-tied-affine", "clt-source-tied"}}) {
    const auto tied = random_transcoder(tied_name, sizes);
    TranscoderOptions options = tied->options();
    options.architecture = affine_name;
    const auto affine = Registry::instance().create(options, tied->shape(), at::kDouble);
    for (const Parameter& parameter : affine->parameters()) {
      if (parameter.name.starts_with("affine_scale")) {
        parameter.value.fill_(1.0);
      } else if (!parameter.name.starts_with("affine_shift")) {
        parameter.value.copy_(find_parameter(*tied, parameter.name));
      }
    }
    expect_same_function(*tied, *affine, sizes);
  }
}

TEST(Topologies, WindowZeroIsPltAndTheFullWindowIsClt) {
  const Sizes sizes{.layers = 4};
  const auto plt = random_transcoder("plt-topk", sizes);
  expect_same_function(
      *plt, *like(*plt, "clt-topk", [](TranscoderOptions& options) { options.window = 0; }), sizes);
  const auto clt = random_transcoder("clt-topk", sizes);
  expect_same_function(
      *clt, *like(*clt, "clt-topk", [](TranscoderOptions& options) { options.window = 3; }), sizes);
  const auto narrow =
      like(*clt, "clt-topk", [](TranscoderOptions& options) { options.window = 1; });
  const at::Tensor one = at::tensor({0}, at::kInt);
  EXPECT_TRUE(narrow->written_rows(1, 2, one).defined());
  EXPECT_FALSE(narrow->written_rows(1, 3, one).defined());
}

TEST(Topologies, WithOneLayerAllAreThePlt) {
  const Sizes sizes{.layers = 1};
  const auto plt = random_transcoder("plt-topk", sizes);
  for (const char* name : {"clt-topk", "clt-incremental-topk", "clt-source-tied"}) {
    const auto other = like(*plt, name, unchanged);
    const auto x = random_rows(sizes, at::kDouble, 5);
    const auto y = random_rows(sizes, at::kDouble, 6);
    const StepResult a = staged_step(*plt, x, y);
    const StepResult b = staged_step(*other, x, y);
    EXPECT_NEAR(a.loss, b.loss, 1e-14) << name;
    for (size_t g = 0; g < a.gradients.size(); ++g) {
      EXPECT_LE(distance(a.gradients[g], b.gradients[g].view(a.gradients[g].sizes())), 1e-14)
          << name;
    }
  }
}

TEST(Topologies, RunningSumsEqualPairs) {
  const Sizes sizes{.tokens = 12, .layers = 4, .width = 9, .features = 14, .k = 9};  // dense
  const auto incremental = random_transcoder("clt-incremental-topk", sizes);
  const auto x = random_rows(sizes, at::kDouble, 5);
  ASSERT_TRUE(any_dense(encode(*incremental, x)));
  expect_same_function(*incremental, *like(*incremental, "clt-topk", unchanged), sizes);
}

TEST(Activations, JumpReluWithVanishingThresholdIsRelu) {
  const Sizes sizes;
  const auto relu = random_transcoder("clt-relu", sizes);
  TranscoderOptions options = relu->options();
  options.architecture = "clt-jumprelu";
  options.jumprelu.threshold = 1e-300;
  options.jumprelu.bandwidth = 1e-300;
  const auto jump = Registry::instance().create(options, relu->shape(), at::kDouble);
  for (const Parameter& parameter : relu->parameters()) {
    find_parameter(*jump, parameter.name).copy_(parameter.value);
  }
  expect_same_function(*relu, *jump, sizes);
}

TEST(Activations, TopKOfAllFeaturesIsRelu) {
  Sizes sizes;
  sizes.k = sizes.features;
  for (const char* name : {"clt-topk", "clt-batchtopk"}) {
    const auto topk = random_transcoder(name, sizes);
    const auto relu = random_transcoder("clt-relu", sizes);
    for (const Parameter& parameter : relu->parameters()) {
      parameter.value.copy_(find_parameter(*topk, parameter.name));
    }
    expect_same_function(*topk, *relu, sizes);
  }
}

TEST(Skip, AZeroSkipIsNone) {
  const Sizes sizes;
  const auto with = random_transcoder("plt-relu-skip", sizes);
  for (int64_t l = 0; l < sizes.layers; ++l) {
    with->skip_weight(l).zero_();
  }
  expect_same_function(*with, *like(*with, "plt-relu", unchanged), sizes);
}

TEST(ParameterCount, PublishedValues) {
  const auto count = [](const char* name, const TranscoderShape& shape) {
    TranscoderOptions options;
    options.architecture = name;
    options.features = shape.features;
    return parameter_count(options, shape);
  };
  const TranscoderShape gpt2{.layers = 12, .width = 768, .features = int64_t{1} << 17};
  EXPECT_EQ(count("plt-topk", gpt2), 2'417'501'184);
  EXPECT_EQ(count("plt-jumprelu", gpt2) - count("plt-topk", gpt2), 1'572'864);
  EXPECT_EQ(count("plt-topk-skip", gpt2) - count("plt-topk", gpt2), 7'077'888);
  EXPECT_EQ(count("clt-topk", {12, 768, 1 << 15}), 2'265'326'592);
  EXPECT_EQ(count("clt-jumprelu", {12, 768, 1 << 15}) - count("clt-topk", {12, 768, 1 << 15}),
            393'216);
  EXPECT_EQ(count("clt-incremental-topk", {12, 768, 3 << 15}), 1'813'128'192);
  const TranscoderShape qwen3{.layers = 36, .width = 4096, .features = 32768};
  const int64_t biases = qwen3.layers * (qwen3.features + qwen3.width);
  EXPECT_EQ(count("clt-relu", qwen3) - biases, 94'220'845'056);  // that checkpoint has no biases
}

class Identities : public ::testing::TestWithParam<Registry::Row> {};

TEST_P(Identities, HasTheParametersOfItsFormula) {
  const Sizes sizes{.layers = 4, .width = 6, .features = 10, .k = 2};
  const auto transcoder = random_transcoder(GetParam().name, sizes);
  EXPECT_EQ(element_count(transcoder->parameters()),
            parameter_count(transcoder->options(), transcoder->shape()));
}

/// Every parameter with a feature axis reordered: feature i becomes permutation[i]'s copy.
void permute_features(const Transcoder& transcoder, const at::Tensor& permutation) {
  for (const Parameter& parameter : transcoder.parameters()) {
    for (int64_t axis = 0; axis < parameter.value.dim(); ++axis) {
      if (parameter.value.size(axis) == permutation.size(0)) {  // F differs from D and L
        parameter.value.copy_(parameter.value.index_select(axis, permutation).clone());
      }
    }
  }
}

TEST_P(Identities, PermutingFeaturesLeavesTheLossUnchanged) {
  const Sizes sizes;
  const auto transcoder = random_transcoder(GetParam().name, sizes);
  const auto x = random_rows(sizes, at::kDouble, 5);
  const auto y = random_rows(sizes, at::kDouble, 6);
  const Terms terms{.silent_pull = 0.0};  // that pull differs between features
  const StepResult before = staged_step(*transcoder, x, y, terms);
  permute_features(*transcoder, at::arange(sizes.features - 1, -1, -1, at::kLong));
  const StepResult after = staged_step(*transcoder, x, y, terms);
  EXPECT_FALSE(at::equal(before.codes[0].index, after.codes[0].index));
  EXPECT_NEAR(before.loss, after.loss, 1e-12);
}

/// Sizes at which the work is split between threads and into panels.
const Sizes kLarge{.tokens = 300, .layers = 3, .width = 200, .features = 1000, .k = 12};

TEST_P(Identities, TwoThreadsGiveTheBitsOfOne) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    const auto transcoder = random_transcoder(GetParam().name, kLarge, type);
    const auto x = random_rows(kLarge, type, 5);
    const auto y = random_rows(kLarge, type, 6);
    const int threads = at::get_num_threads();
    at::set_num_threads(1);
    const StepResult one = staged_step(*transcoder, x, y);
    at::set_num_threads(2);
    const StepResult two = staged_step(*transcoder, x, y);
    at::set_num_threads(threads);
    if (!has_fixed_order(GetParam(), one.codes)) {  // a GEMM's bits depend on its threads
      const double rounding = type == at::kFloat ? 1e-5 : 1e-13;  // of sums of 1,000 products
      EXPECT_NEAR(one.loss, two.loss, rounding * one.loss);
      for (size_t p = 0; p < one.gradients.size(); ++p) {
        const double scale = one.gradients[p].abs().max().item<double>();
        EXPECT_LE(distance(one.gradients[p], two.gradients[p]), rounding * scale);
      }
      continue;
    }
    EXPECT_EQ(one.loss, two.loss);
    for (size_t l = 0; l < x.size(); ++l) {
      EXPECT_TRUE(same_bits(one.codes[l].value, two.codes[l].value));
      EXPECT_TRUE(same_bits(one.y_hat[l], two.y_hat[l]));
      EXPECT_TRUE(same_bits(one.value_grad[l], two.value_grad[l]));
    }
    for (size_t p = 0; p < one.gradients.size(); ++p) {
      EXPECT_TRUE(same_bits(one.gradients[p], two.gradients[p]));
    }
  }
}

TEST_P(Identities, Float32EqualsTheDenseOracleUpToRounding) {
  constexpr double kFloat32Relative = 2e-5;  // sums of a few hundred terms at 6e-8 each
  const auto transcoder = random_transcoder(GetParam().name, kLarge, at::kFloat);
  const auto x = random_rows(kLarge, at::kFloat, 5);
  const auto y = random_rows(kLarge, at::kFloat, 6);
  const StepResult staged = staged_step(*transcoder, x, y);
  const StepResult oracle = oracle_step(GetParam(), *transcoder, x, y);
  EXPECT_NEAR(staged.loss, oracle.loss, kFloat32Relative * oracle.loss);
  for (size_t p = 0; p < staged.gradients.size(); ++p) {
    const double scale = oracle.gradients[p].abs().max().item<double>();
    EXPECT_LE(distance(staged.gradients[p].to(at::kDouble), oracle.gradients[p]),
              kFloat32Relative * scale)
        << transcoder->parameters()[p].name;
  }
}

TEST_P(Identities, DecodesThroughItsWrittenRows) {
  const Sizes sizes;
  const auto transcoder = random_transcoder(GetParam().name, sizes);
  const auto x = random_rows(sizes, at::kDouble, 5);
  const Codes codes = encode(*transcoder, x);
  std::vector<at::Tensor> y_hat;
  transcoder->decode(codes, x, {0, sizes.width}, y_hat);
  for (int64_t target = 0; target < sizes.layers; ++target) {
    at::Tensor sum = find_parameter(*transcoder, "b_dec_" + std::to_string(target))
                         .expand({sizes.tokens, -1})
                         .clone();
    if (transcoder->skip_weight(target).defined()) {
      sum += at::mm(x[static_cast<size_t>(target)], transcoder->skip_weight(target).t());
    }
    for (int64_t source = 0; source < sizes.layers; ++source) {
      const LayerCodes& layer = codes[static_cast<size_t>(source)];
      const at::Tensor rows = transcoder->written_rows(source, target, layer.index, layer.value);
      if (rows.defined()) {
        const at::Tensor token = at::repeat_interleave(row_counts(layer));
        sum.index_add_(0, token, layer.value.unsqueeze(1) * rows);
      }
    }
    EXPECT_LE(distance(sum, y_hat[static_cast<size_t>(target)]), 1e-13);
  }
  const at::Tensor all = at::arange(sizes.features, at::kInt);
  const at::Tensor some = at::tensor({4, 0}, at::kInt);
  EXPECT_TRUE(at::equal(transcoder->read_rows(1, some),
                        transcoder->read_rows(1, all).index_select(0, some)));
}

INSTANTIATE_TEST_SUITE_P(EveryRow, Identities, ::testing::ValuesIn(Registry::instance().rows()),
                         row_test_name);

}  // namespace
}  // namespace crossloom::architectures::test
