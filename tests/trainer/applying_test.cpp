// Gradients consumed where they are made against gradients gathered first: the same run, for every
// row of the registry, also where terms must gather (AuxK, nested prefixes); the same bits on one
// and two threads.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "architectures/registry.h"
#include "tests/support/row_names.h"
#include "tests/trainer/training_helpers.h"

namespace crossloom::trainer {
namespace {

constexpr double kNeverClips = 1e30;

class Applying : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    data::write_synthetic_cache(folder_.file("shards"), test::tiny_data());
    options_ = test::tiny_training(folder_.file("shards"), "");
    options_.transcoder.architecture = GetParam();
    options_.dtype = "float64";
    options_.steps = 30;
    const auto& row = architectures::Registry::instance().row(GetParam());
    selects_ = row.activation == "topk" || row.activation == "batchtopk";
    if (!selects_) {
      options_.sparsity.weight = 0.01;
    }
    options_.pre_activation.weight = 1e-3;
    options_.start.firing_rate = 0.2;
  }

  TrainSummary train(double clip_norm, const std::string& name) {
    auto options = options_;
    options.adam.clip_norm = clip_norm;
    options.output = folder_.file(name);
    return test::run_training(options, *make_single_communicator());
  }

  void expect_the_same_run() {
    const auto gathered = train(kNeverClips, "gathered");
    const auto applied = train(0.0, "applied");
    EXPECT_NEAR(applied.last.loss, gathered.last.loss, 1e-9 * gathered.last.loss);
    EXPECT_NEAR(applied.last.gradient_norm, gathered.last.gradient_norm,
                1e-7 * gathered.last.gradient_norm);
    const TensorFile want(gathered.checkpoint + "/weights.safetensors");
    const TensorFile got(applied.checkpoint + "/weights.safetensors");
    for (const auto& [name, entry] : want.tensors()) {
      const auto* a = reinterpret_cast<const double*>(entry.bytes.data());
      const auto* b = reinterpret_cast<const double*>(got.at(name).bytes.data());
      for (size_t i = 0; i < entry.bytes.size() / sizeof(double); ++i) {
        ASSERT_NEAR(a[i], b[i], 1e-7) << name << " element " << i;
      }
    }
  }

  test::TempFolder folder_;
  TrainOptions options_;
  bool selects_ = false;
};

TEST_P(Applying, EqualsGathering) {
  expect_the_same_run();
}

TEST_P(Applying, GathersWhereSeveralTermsMeet) {
  options_.matryoshka.prefixes = {"16"};
  if (selects_) {
    options_.auxk.k = 4;
    options_.dead.min_density = 0.02;
  }
  expect_the_same_run();
}

TEST_P(Applying, HasTheSameBitsOnAnyThreadCount) {
  test::enlarge(options_, folder_.file("large"), 24);
  options_.dtype = "float32";
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = train(0.0, "one");
  at::set_num_threads(2);
  const auto two = train(0.0, "two");
  at::set_num_threads(threads);
  EXPECT_EQ(one.last.gradient_norm, two.last.gradient_norm);
  EXPECT_TRUE(test::weight_bytes(one.checkpoint) == test::weight_bytes(two.checkpoint));
}

INSTANTIATE_TEST_SUITE_P(EveryRow, Applying,
                         ::testing::ValuesIn(architectures::Registry::instance().names()),
                         [](const auto& row) { return test::test_name(row.param); });

}  // namespace
}  // namespace crossloom::trainer
