// Harvest with a real (tiny, random) host model: every stored row is what the model computes at
// that token, found again by running the model on the stored tokens.
#include "data/harvest.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <fstream>

#include "data/shard_set.h"
#include "data/window_buffer.h"
#include "models/transformer.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_llama.h"

namespace crossloom::data {
namespace {

using models::HookPoint;

class Harvest : public ::testing::Test {
 protected:
  Harvest() {
    test::write_tiny_llama(model_.path());
    test::write_tiny_tokenizer(model_.path());
    std::string text;
    for (int i = 0; i < 100; ++i) {
      text += fmt::format("Paragraph {} says that {} times {} is {}.\n\n", i, i, i, i * i);
    }
    std::ofstream(text_.file("a.txt")) << text;
  }
  HarvestOptions options(const std::string& name) const {
    HarvestOptions result;
    result.model = model_.path();
    result.text = {text_.path()};
    result.output = out_.file(name);
    result.max_tokens = 900;
    result.context_len = 32;
    result.dtype = "float32";
    result.document_bytes = 300;
    result.shard_rows = 1024;
    return result;
  }
  Manifest run(const HarvestOptions& o) const { return harvest(o, *make_single_communicator()); }

  test::TempFolder model_, text_, out_;
};

/// Windows are found again by position 1; BOS is put in front; then the model must agree.
TEST_F(Harvest, EveryRowIsWhatTheModelComputes) {
  const std::pair<const char*, HookPoint> hooks[] = {{"mlp_in", HookPoint::kMlpIn},
                                                     {"ln2_normalized", HookPoint::kMlpNormalized},
                                                     {"resid_mid", HookPoint::kResidMid}};
  const auto model = models::Transformer::load(model_.path(), at::kFloat);
  for (const auto& [name, point] : hooks) {
    HarvestOptions o = options(name);
    o.hook_in = name;
    EXPECT_EQ(run(o).rows, 900);
    const ShardSet set(o.output);
    EXPECT_EQ(set.identity().hook_in, models::hook_name(point));
    EXPECT_EQ(set.identity().bos_policy, "prepend_0_drop_first");
    std::vector<int64_t> rows(900);
    for (int64_t row = 0; row < 900; ++row) {
      rows[size_t(row)] = row;
    }
    const Batch all = read_rows(set, rows);
    for (int64_t begin = 0; begin < 900;) {
      ASSERT_EQ(all.positions[begin].item<int>(), 1);
      int64_t end = begin + 1;
      while (end < 900 && all.positions[end].item<int>() > 1) {
        ++end;
      }
      ASSERT_LE(end - begin, 31);
      const at::Tensor tokens = at::cat(
          {at::zeros({1}, at::kLong), all.tokens.narrow(0, begin, end - begin).to(at::kLong)});
      std::vector<at::Tensor> x(3);
      std::vector<at::Tensor> y(3);
      const HookPoint in = point;
      const models::Hooks watch({in, HookPoint::kMlpOut},
                                [&](HookPoint at_point, int64_t layer, at::Tensor& value) {
                                  (at_point == in ? x : y)[size_t(layer)] = value.clone();
                                });
      const at::NoGradGuard no_grad;
      model.forward(tokens, watch);
      for (size_t layer = 0; layer < 3; ++layer) {
        const auto stored = [&](const std::vector<at::Tensor>& side) {
          return side[layer].narrow(0, begin, end - begin);
        };
        const auto computed = [&](const std::vector<at::Tensor>& side) {
          return side[layer].narrow(0, 1, end - begin).to(at::kBFloat16);
        };
        EXPECT_TRUE(at::equal(stored(all.x), computed(x))) << name << ", row " << begin;
        EXPECT_TRUE(at::equal(stored(all.y), computed(y))) << name << ", row " << begin;
      }
      begin = end;
    }
  }
}

TEST_F(Harvest, IsTheSameForAnyRankCount) {
  HarvestOptions o = options("r1");
  o.max_tokens = 3000;  // three chunks
  run(o);
  o.output = out_.file("r3");
  run_ranks_as_threads(3, [&](Communicator& comm) { harvest(o, comm); });
  const ShardSet one(out_.file("r1"));
  const ShardSet three(out_.file("r3"));
  ASSERT_EQ(three.manifest().shards.size(), 3u);
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < 3000; ++row) {
    rows.push_back(row);
  }
  const Batch a = read_rows(one, rows);
  const Batch b = read_rows(three, rows);
  EXPECT_TRUE(at::equal(a.tokens, b.tokens));
  for (size_t layer = 0; layer < 3; ++layer) {
    EXPECT_TRUE(at::equal(a.x[layer], b.x[layer]));
    EXPECT_TRUE(at::equal(a.y[layer], b.y[layer]));
  }
}

TEST_F(Harvest, AgainIsANoOpAndAnotherModelIsRefused) {
  run(options("a"));
  EXPECT_TRUE(run(options("a")).complete);
  HarvestOptions other = options("a");
  other.max_tokens = 901;
  test::expect_error<ConfigError>([&] { run(other); }, {"max_tokens", "900", "901"});
  test::write_tiny_llama(model_.path(), {.seed = 2});
  test::expect_error<ConfigError>([&] { run(options("a")); }, {"model_revision"});
}

TEST_F(Harvest, RefusesWhatCannotBe) {
  const auto refused = [&](auto&& change, const std::vector<std::string>& phrases) {
    HarvestOptions o = options("none");
    change(o);
    test::expect_error<ConfigError>([&] { run(o); }, phrases);
  };
  refused([](auto& o) { o.hook_out = "resid_mid"; }, {"cannot be harvested", "hook_out"});
  refused([](auto& o) { o.hook_in = "mlp_out"; }, {"cannot be harvested"});
  refused([](auto& o) { o.context_len = 65; }, {"context", "64", "65"});
  refused([](auto& o) { o.context_len = 1; }, {"context_len"});
  refused([](auto& o) { o.dtype = "float8"; }, {"dtype", "float8"});
  refused([](auto& o) { o.text = {"/nowhere"}; }, {"/nowhere"});
  HarvestOptions o = options("none");
  std::filesystem::remove(model_.file("model.safetensors"));
  test::expect_error<DataError>([&] { run(o); }, {"no weights", model_.path()});
  EXPECT_FALSE(std::filesystem::exists(out_.file("none")));
}

}  // namespace
}  // namespace crossloom::data
