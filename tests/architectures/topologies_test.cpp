// Identities between architectures (transcoders.md 16): the tied ones and the windows are special
// untied ones, activations meet at their limits.
#include <gtest/gtest.h>

#include "architectures/clt.h"
#include "architectures/incremental.h"
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

}  // namespace
}  // namespace crossloom::architectures::test
