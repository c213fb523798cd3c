// Every row of the registry, trained on synthetic activations whose sparse features are known,
// finds them: the planted decoder directions and the targets themselves.
//
// What to expect. A layer has 48 features in 24 dimensions, 2 of them active in a token with
// strengths 1 to 2 (mean square 2.33). Reading one meets the other's projection, of variance
// 2.33 / 24 ≈ 0.1, beside which the noise of σ = 0.01 is nothing: about 4 % of the strength's
// square is lost in reading, and as much again where a code is missed or invented. The best linear
// map leaves about half. So NMSE below 0.2 says that sparse features are used, and the cosines say
// that they are the planted ones: on average to within 22° (26° for ReLU, whose codes must shrink
// to be sparse, and for incremental decoders with affine maps, whose writes ahead start at
// nothing). With a skip only the sum of both paths is determined: compared is what a planted
// feature causes through the learnt feature and the learnt skip together.
#include <gtest/gtest.h>

#include "architectures/registry.h"
#include "eval/reconstruction.h"
#include "eval/trained_transcoder.h"
#include "tests/support/row_names.h"
#include "tests/trainer/training_helpers.h"

namespace crossloom::eval {
namespace {

constexpr double kNmse = 0.2;

data::SyntheticOptions planted(const architectures::Registry::Row& row) {
  data::SyntheticOptions options;
  options.layers = 2;
  options.width = 24;
  options.features = 96;
  options.active = 4;
  options.rows = 20000;
  options.chunk_rows = 256;
  options.writes = row.topology == "plt"                         ? "own"
                   : row.topology.starts_with("clt-incremental") ? "target"
                   : row.topology.starts_with("clt-source-tied") ? "source"
                                                                 : "all";
  options.linear = row.skip;
  return options;
}

trainer::TrainOptions recipe(const architectures::Registry::Row& row, const std::string& folder) {
  auto options = test::tiny_training(folder + "/shards", folder + "/run");
  options.transcoder.architecture = row.name;
  options.transcoder.features = 64;
  options.transcoder.k = 4;
  options.loader.batch_tokens = 256;
  options.loader.held_out_share = 0.1;
  options.steps = 600;
  options.adam.learning_rate = 1e-2;
  options.report_every_steps = 600;
  options.transcoder.jumprelu.bandwidth = 0.5;
  options.transcoder.jumprelu.threshold = 0.1;
  const bool selects = row.activation == "topk" || row.activation == "batchtopk";
  options.sparsity.weight = selects ? 0.0 : row.activation == "relu" ? 0.05 : 0.02;
  options.sparsity.ramp_share = 0.5;
  options.transcoder.init.decoder = selects ? "zeros" : "uniform";
  options.auxk.k = selects ? 8 : 0;
  return options;
}

/// What the planted features of `source` cause in `target`: [n, D].
at::Tensor true_effects(const data::SyntheticOptions& options, int64_t source, int64_t target) {
  at::Tensor effects = data::synthetic_writers(options, target);
  if (source == target) {
    effects =
        effects + at::mm(data::synthetic_readers(options), data::synthetic_linear(options, target));
  }
  return effects.slice(0, source, options.features, options.layers).to(at::kDouble);
}

/// What each planted feature would cause in `target` through each learnt one: [n, F, D].
at::Tensor learnt_effects(const architectures::Transcoder& folded,
                          const data::SyntheticOptions& options, int64_t source, int64_t target) {
  const at::Tensor all = at::arange(folded.shape().features, at::kInt);
  const at::Tensor read = data::synthetic_readers(options)
                              .slice(0, source, options.features, options.layers)
                              .to(at::kDouble);  // [n, D]
  const at::Tensor strength =
      at::mm(read, folded.read_rows(source, all).to(at::kDouble).t()).clamp_min(0);  // [n, F]
  std::vector<at::Tensor> written;  // [n] of [F, D], by features of that activation
  for (int64_t i = 0; i < strength.size(0); ++i) {
    const at::Tensor value = strength[i].clamp_min(1e-9).to(at::kFloat);
    written.push_back(folded.written_rows(source, target, all, value).to(at::kDouble));
  }
  at::Tensor effects = strength.unsqueeze(2) * at::stack(written);
  if (source == target && folded.skip_weight(target).defined()) {
    const at::Tensor skip = folded.skip_weight(target).to(at::kDouble);
    effects = effects + at::mm(read, skip.t()).unsqueeze(1);
  }
  return effects;
}

/// Mean over planted features of the best cosine, over learnt features of the same layer, between
/// what they cause in all their targets.
double mean_max_cosine(const architectures::Transcoder& folded,
                       const data::SyntheticOptions& options) {
  double sum = 0.0;
  for (int64_t source = 0; source < options.layers; ++source) {
    std::vector<at::Tensor> truth, learnt;
    for (int64_t target = source; target < options.layers; ++target) {
      if (folded.written_rows(source, target, at::zeros({1}, at::kInt)).defined()) {
        truth.push_back(true_effects(options, source, target));
        learnt.push_back(learnt_effects(folded, options, source, target));
      }
    }
    const auto unit = [](const at::Tensor& rows) {
      return rows / rows.norm(2, -1, true).clamp_min(1e-12);
    };
    const at::Tensor cosines =
        (unit(at::cat(truth, -1)).unsqueeze(1) * unit(at::cat(learnt, -1))).sum(-1);  // [n, F]
    sum += std::get<0>(cosines.max(1)).sum().item<double>();
  }
  return sum / static_cast<double>(options.features);
}

class Recovery : public ::testing::TestWithParam<std::string> {};

TEST_P(Recovery, FindsThePlantedFeatures) {
  const test::TempFolder folder;
  const auto& row = architectures::Registry::instance().row(GetParam());
  const auto data = planted(row);
  const auto options = recipe(row, folder.path());
  data::write_synthetic_cache(options.data, data);
  const auto single = make_single_communicator();
  const auto summary = test::run_training(options, *single);
  auto trained = open_trained_transcoder(summary.checkpoint, at::kFloat);
  const data::ShardSet shards(options.data);
  const auto split = data::split_rows(shards, options.loader);
  const auto quality = evaluate_reconstruction(*trained.transcoder, trained.normalizer, shards,
                                               split.held_out, *single);
  fold_normalization(trained);
  const double cosine = mean_max_cosine(*trained.transcoder, data);
  fmt::print("{:<30} mean max cosine {:.4f}  NMSE {:.4f}  L0 {:.2f}  dead {:.2f}\n", row.name,
             cosine, quality.mean_nmse(), quality.mean_l0(), quality.mean_dead());
  EXPECT_LT(quality.mean_nmse(), kNmse);
  const bool starts_late = row.topology == "clt-incremental-affine";
  EXPECT_GT(cosine, row.activation == "relu" || starts_late ? 0.9 : 0.93);
  EXPECT_LT(quality.mean_l0(), 8.0);  // planted: 2 a layer and token
}

INSTANTIATE_TEST_SUITE_P(EveryRow, Recovery,
                         ::testing::ValuesIn(architectures::Registry::instance().names()),
                         [](const auto& row) { return test::test_name(row.param); });

}  // namespace
}  // namespace crossloom::eval
