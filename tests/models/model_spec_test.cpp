// Malformed and refused files are in tests/bad_inputs/config (bad_inputs_test.cpp).
#include "models/model_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/files.h"
#include "tests/support/temp_folder.h"

namespace crossloom::models {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Json smollm2() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_size", 576},
          {"intermediate_size", 1536},
          {"num_hidden_layers", 30},
          {"num_attention_heads", 9},
          {"num_key_value_heads", 3},
          {"vocab_size", 49152},
          {"max_position_embeddings", 8192},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 100000.0},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", true},
          {"bos_token_id", 1},
          {"eos_token_id", 2}};
}

ModelSpec spec_with(const Json& changes) {
  Json config = smollm2();
  for (const auto& [key, value] : changes.items()) {
    config[key] = value;
  }
  return parse_model_spec(config.dump(), "config.json");
}

TEST(ModelSpec, ReadsEveryNumber) {
  const ModelSpec spec = spec_with(Json::object());
  EXPECT_EQ(spec.family, "llama");
  EXPECT_EQ(spec.layers, 30);
  EXPECT_EQ(spec.width, 576);
  EXPECT_EQ(spec.heads, 9);
  EXPECT_EQ(spec.kv_heads, 3);
  EXPECT_EQ(spec.head_width, 64);
  EXPECT_EQ(spec.mlp_width, 1536);
  EXPECT_EQ(spec.vocabulary, 49152);
  EXPECT_EQ(spec.context, 8192);
  EXPECT_EQ(spec.norm_epsilon, 1e-5);
  EXPECT_EQ(spec.rope_base, 100000.0);
  EXPECT_TRUE(spec.tied_embedding);
  EXPECT_FALSE(spec.attention_bias);
  EXPECT_FALSE(spec.mlp_bias);
  EXPECT_EQ(spec.bos_id, 1);
  EXPECT_THAT(spec.eos_ids, ElementsAre(2));
}

TEST(ModelSpec, ParameterCountOfSmolLM2) {
  // The number its card gives, 134.5 million, to the last one.
  EXPECT_EQ(spec_with(Json::object()).parameter_count(), 134'515'008);
  EXPECT_EQ(spec_with(Json::object()).weight_bytes(2), 269'030'016);
}

TEST(ModelSpec, ParameterCountAddsTensorByTensor) {
  const Json tiny = {{"hidden_size", 6},         {"intermediate_size", 10},
                     {"num_hidden_layers", 2},   {"num_attention_heads", 3},
                     {"num_key_value_heads", 1}, {"head_dim", 4},
                     {"vocab_size", 11},         {"tie_word_embeddings", false},
                     {"attention_bias", true},   {"mlp_bias", true}};
  const int64_t attention = 6 * 12 + 12 + 2 * (6 * 4 + 4) + 12 * 6 + 6;
  const int64_t mlp = 2 * (6 * 10 + 10) + 10 * 6 + 6;
  const int64_t expected = 2 * 11 * 6 + 2 * (attention + mlp + 2 * 6) + 6;
  EXPECT_EQ(spec_with(tiny).parameter_count(), expected);
  Json tied = tiny;
  tied["tie_word_embeddings"] = true;
  EXPECT_EQ(spec_with(tied).parameter_count(), expected - 11 * 6);
  Json plain = tiny;
  plain["attention_bias"] = false;
  plain["mlp_bias"] = false;
  EXPECT_EQ(spec_with(plain).parameter_count(), expected - 2 * (12 + 2 * 4 + 6) - 2 * (2 * 10 + 6));
}

TEST(ModelSpec, TheLargestAllowedModelDoesNotOverflow) {
  const ModelSpec spec = spec_with({{"hidden_size", 1'000'000},
                                    {"intermediate_size", 10'000'000},
                                    {"num_hidden_layers", 10'000},
                                    {"num_attention_heads", 10},
                                    {"num_key_value_heads", 10},
                                    {"head_dim", 1'000'000},
                                    {"vocab_size", 100'000'000},
                                    {"tie_word_embeddings", false}});
  EXPECT_GT(spec.parameter_count(), 0);
  EXPECT_GT(spec.weight_bytes(8), spec.weight_bytes(4));
}

TEST(ModelSpec, RopeBaseFromEitherPlace) {
  const Json newer = {{"rope_theta", nullptr},
                      {"rope_parameters", {{"rope_theta", 5e5}, {"rope_type", "default"}}}};
  EXPECT_EQ(spec_with(newer).rope_base, 5e5);
  EXPECT_EQ(spec_with({{"rope_parameters", {{"rope_theta", 1e5}}}}).rope_base, 1e5);
  EXPECT_EQ(spec_with({{"rope_parameters", {{"rope_type", "default"}}}}).rope_base, 1e5);
  EXPECT_EQ(spec_with({{"rope_theta", nullptr}}).rope_base, 10000.0);
  EXPECT_EQ(spec_with({{"rope_scaling", {{"type", "default"}}}}).rope_base, 1e5);
}

TEST(ModelSpec, OptionalKeysFallBack) {
  const ModelSpec spec = spec_with({{"num_key_value_heads", nullptr},
                                    {"rms_norm_eps", nullptr},
                                    {"max_position_embeddings", nullptr},
                                    {"tie_word_embeddings", nullptr},
                                    {"hidden_act", nullptr},
                                    {"architectures", nullptr}});
  EXPECT_EQ(spec.kv_heads, 9);
  EXPECT_EQ(spec.norm_epsilon, 1e-6);
  EXPECT_EQ(spec.context, 2048);
  EXPECT_FALSE(spec.tied_embedding);
}

TEST(ModelSpec, HeadWidthMayDifferFromWidthOverHeads) {
  EXPECT_EQ(spec_with({{"head_dim", 128}}).head_width, 128);
  EXPECT_EQ(spec_with({{"hidden_size", 6}, {"head_dim", 8}}).head_width, 8);
}

TEST(ModelSpec, TokenIds) {
  EXPECT_EQ(spec_with({{"bos_token_id", nullptr}}).bos_id, -1);
  EXPECT_EQ(spec_with({{"bos_token_id", 0}}).bos_id, 0);
  EXPECT_THAT(spec_with({{"eos_token_id", {2, 7}}}).eos_ids, ElementsAre(2, 7));
  EXPECT_THAT(spec_with({{"eos_token_id", nullptr}}).eos_ids, IsEmpty());
}

TEST(ModelSpec, NeutralValuesOfUnsupportedKeysAreAccepted) {
  EXPECT_NO_THROW(spec_with({{"pretraining_tp", 1},
                             {"sliding_window", nullptr},
                             {"use_sliding_window", false},
                             {"partial_rotary_factor", 1.0},
                             {"layer_types", {"full_attention", "full_attention"}},
                             {"rope_scaling", nullptr}}));
}

TEST(ModelSpec, ReadsTheFolder) {
  const test::TempFolder folder;
  test::put_file(folder.file("config.json"), smollm2().dump());
  EXPECT_EQ(read_model_spec(folder.path()).layers, 30);
  EXPECT_ERROR(DataError, "absent/config.json", read_model_spec(folder.file("absent")));
  test::put_file(folder.file("config.json"), std::string(5'000'000, ' '));
  EXPECT_ERROR(DataError, "too large", read_model_spec(folder.path()));
}

}  // namespace
}  // namespace crossloom::models
