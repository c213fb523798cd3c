// The table of architectures, its errors, and what a new transcoder looks like.
#include "architectures/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "common/error.h"
#include "tests/architectures/staged_step.h"

namespace crossloom::architectures::test {
namespace {

using ::testing::HasSubstr;

std::string refusal(const TranscoderOptions& options, int64_t layers = 2, int64_t width = 8) {
  try {
    Registry::instance().create(options, {layers, width, options.features}, at::kFloat);
  } catch (const ConfigError& error) {
    return error.screen();
  }
  return "accepted";
}

TEST(Registry, HasTheBuiltInRows) {
  EXPECT_THAT(
      Registry::instance().names(),
      ::testing::IsSupersetOf({"clt-jumprelu", "clt-relu", "clt-topk", "clt-incremental-topk",
                               "clt-incremental-topk-skip", "plt-jumprelu", "plt-jumprelu-skip",
                               "plt-relu", "plt-relu-skip", "plt-topk", "plt-topk-skip"}));
}

TEST(Registry, AnUnknownNameListsTheKnownAndTheNearest) {
  TranscoderOptions options;
  options.architecture = "clt-topq";
  const std::string screen = refusal(options);
  EXPECT_THAT(screen, HasSubstr("clt-topq"));
  EXPECT_THAT(screen, HasSubstr("plt-topk"));
  EXPECT_THAT(screen, HasSubstr("did you mean 'clt-topk'?"));
}

TEST(Registry, OptionsOutOfRangeAreRefusedByName) {
  TranscoderOptions options;
  options.features = 8;
  options.architecture = "plt-relu";
  options.window = 2;
  EXPECT_THAT(refusal(options), HasSubstr("'window' is set"));
  for (const char* name : {"plt-relu", "clt-topk"}) {
    options.architecture = name;
    options.k = 2;
    options.window = -2;
    EXPECT_THAT(refusal(options), HasSubstr("window"));
    EXPECT_THROW(Registry::instance().check(options), ConfigError);
  }
  options.window = -1;
  options.architecture = "clt-jumprelu";
  options.jumprelu.bandwidth = 0.0;
  EXPECT_THAT(refusal(options), HasSubstr("jumprelu.bandwidth"));
  options.architecture = "clt-topk";
  options.k = 9;
  EXPECT_THAT(refusal(options), HasSubstr("k is out of range"));
  options.k = 0;
  EXPECT_THAT(refusal(options), HasSubstr("k is out of range"));
  options.k = 8;
  EXPECT_EQ(refusal(options), "accepted");
  EXPECT_THAT(refusal(options, 0), HasSubstr("layers"));
  EXPECT_THAT(refusal(options, 1, 0), HasSubstr("width"));
  options.features = 0;
  EXPECT_THAT(refusal(options), HasSubstr("features"));
}

TEST(Registry, AShapeThatContradictsTheOptionsIsOurBug) {
  const TranscoderOptions options;
  EXPECT_THROW(Registry::instance().create(options, {2, 8, options.features + 1}, at::kFloat),
               InternalError);
}

TEST(Registry, RowsFromOutsideWorkAndDuplicatesAreRefused) {
  Registry registry = Registry::instance();
  Registry::Row mine = registry.rows().front();
  mine.name = "my-architecture";
  registry.add(mine);
  TranscoderOptions options;
  options.architecture = "my-architecture";
  options.features = 6;
  options.k = 2;
  const auto transcoder = registry.create(options, {2, 4, 6}, at::kDouble);
  EXPECT_THAT(transcoder->describe(), HasSubstr("my-architecture"));
  EXPECT_THROW(registry.add(mine), ConfigError);
  EXPECT_EQ(registry.rows().size(), Registry::instance().rows().size() + 1);
}

class NewTranscoder : public ::testing::TestWithParam<Registry::Row> {
 protected:
  std::unique_ptr<Transcoder> create(int64_t seed, at::ScalarType type = at::kFloat) const {
    TranscoderOptions options;
    options.architecture = GetParam().name;
    options.features = 12;
    options.k = 5;
    options.seed = seed;
    return Registry::instance().create(options, {3, 16, 12}, type);
  }
};

TEST_P(NewTranscoder, DescribesTheOptionsReallyUsed) {
  const auto transcoder = create(77);
  const std::string text = transcoder->describe();
  for (const char* part : {"L = 3", "D = 16", "F = 12", "seed = 77", "float32"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  if (GetParam().activation.ends_with("topk")) {
    EXPECT_THAT(text, HasSubstr("K = 5"));
  }
  EXPECT_EQ(text.find("W_skip") != std::string::npos, GetParam().skip);
  EXPECT_THAT(text, HasSubstr(GetParam().name));
  EXPECT_EQ(transcoder->options().seed, 77);
  EXPECT_EQ(transcoder->shape().width, 16);
}

TEST_P(NewTranscoder, InitialWeightsAreAFunctionOfTheSeed) {
  const auto a = create(1);
  const auto b = create(1);
  const auto other = create(2);
  const auto in_float64 = create(1, at::kDouble);
  for (size_t p = 0; p < a->parameters().size(); ++p) {
    const Parameter& parameter = a->parameters()[p];
    EXPECT_TRUE(same_bits(parameter.value, b->parameters()[p].value));
    EXPECT_TRUE(same_bits(parameter.value, in_float64->parameters()[p].value.to(at::kFloat)));
    const double largest = parameter.value.abs().max().item<double>();
    if (parameter.name.starts_with("W_enc")) {
      EXPECT_FALSE(same_bits(parameter.value, other->parameters()[p].value));
      EXPECT_LE(largest, 1.0 / std::sqrt(16.0));
      EXPECT_GT(largest, 0.8 / std::sqrt(16.0));
    } else if (parameter.name.starts_with("log_threshold")) {
      EXPECT_NEAR(largest, -std::log(0.03), 1e-6);
    } else if (parameter.name.starts_with("affine_scale")) {  // 1 for the own target alone
      EXPECT_TRUE(parameter.value[0].eq(1.0).all().item<bool>());
      EXPECT_EQ(parameter.value.sum().item<double>(), static_cast<double>(parameter.value.size(1)));
    } else {
      EXPECT_EQ(largest, 0.0) << parameter.name;
    }
  }
  EXPECT_FALSE(same_bits(a->parameters()[0].value, a->parameters()[2].value)) << "layers repeat";
}

TEST_P(NewTranscoder, OtherInitialisationsAreOptions) {
  TranscoderOptions options;
  options.architecture = GetParam().name;
  options.features = 64;
  options.init.encoder = "features";
  options.init.decoder = "uniform";
  const auto transcoder = Registry::instance().create(options, {3, 16, 64}, at::kFloat);
  const auto largest = [&](const char* name) {
    return find_parameter(*transcoder, name).abs().max().item<double>();
  };
  EXPECT_LE(largest("W_enc_1"), 1.0 / 8.0);  // √F
  EXPECT_GT(largest("W_enc_1"), 0.9 / 8.0);
  EXPECT_LE(largest("W_dec_1"), 1.0 / std::sqrt(48.0));  // √(L·D)
  EXPECT_GT(largest("W_dec_1"), 0.9 / std::sqrt(48.0));
  options.init.decoder = "ones";
  EXPECT_THROW(Registry::instance().create(options, {3, 16, 64}, at::kFloat), ConfigError);
}

TEST_P(NewTranscoder, ParametersChangeInPlace) {
  const auto transcoder = create(1);
  const auto& parameters = transcoder->parameters();
  const at::Tensor x = at::zeros({2, 16}, at::kFloat);
  ASSERT_EQ(parameters[1].name, "b_enc_0");
  parameters[1].value.fill_(2.5);
  EXPECT_TRUE(at::equal(transcoder->pre_activations(0, x), at::full({2, 12}, 2.5F)));
  find_parameter(*transcoder, "b_dec_2").fill_(-1.5);
  const std::vector<at::Tensor> inputs(3, x);
  std::vector<at::Tensor> y_hat;
  transcoder->decode(encode(*transcoder, inputs), inputs, {0, 16}, y_hat);
  EXPECT_TRUE(at::equal(y_hat[2], at::full({2, 16}, -1.5F)));
}

INSTANTIATE_TEST_SUITE_P(EveryRow, NewTranscoder, ::testing::ValuesIn(Registry::instance().rows()),
                         row_test_name);

}  // namespace
}  // namespace crossloom::architectures::test
